// SPDX-License-Identifier: GPL-2.0

//! The state of a connection ([`crate::abi::connection`]) as the C helpers see it.
//!
//! C header: [`include/connection.h`](../../include/connection.h)

use crate::{
    abi::{
        connection::{
            flag,
            ConnectionState,
            SendState, //
        },
        Layout, //
    },
    bindings, //
};
use core::mem::offset_of;

/// Casts `&$abi` to a pointer to `$c` once it is checked that the two have the same layout: every
/// field of `$abi` is listed, and lies where C has it.
macro_rules! mirror {
    ($as_c:ident: $abi:ty => $c:ident { $($field:ident)* }) => {
        const _: () = {
            assert!(size_of::<$abi>() == size_of::<bindings::$c>());
            assert!(align_of::<$abi>() == align_of::<bindings::$c>());
            assert!([$(stringify!($field)),*].len() == <$abi as Layout>::TABLE.rows.len());
            $(
                assert!(offset_of!($abi, $field) == offset_of!(bindings::$c, $field));
                assert!(field_size(|s: &$abi| &s.$field) == field_size(|s: &bindings::$c| &s.$field));
            )*
        };

        /// The state as C sees it.
        #[inline]
        pub(super) fn $as_c(state: &$abi) -> *const bindings::$c {
            core::ptr::from_ref(state).cast()
        }
    };
}

/// Size of the field that `_get` borrows.
#[allow(dead_code, reason = "older compilers do not count a use in `const _`")]
const fn field_size<S, F>(_get: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

mirror!(send_state: SendState => toe_send_state {
    snd_una snd_nxt snd_wnd cwnd ssthresh srtt_us rttvar_us min_rtt_us rto_us
    retransmits segs_out segs_in bytes_retransmitted delivered
});

mirror!(connection: ConnectionState => toe_connection {
    local_address remote_address local_port remote_port flags vlan_tci local_mac remote_mac
    flow_label tos ttl snd_wscale rcv_wscale mss rcv_mss send
    snd_wl1 max_window rcv_nxt rcv_edge tsval ts_tick_us ts_recent reordering backoff
    data_segs_in data_segs_out duplicates out_of_order unanswered_us delivered_ce
});

const _: () = {
    assert!(flag::TIMESTAMPS as u32 == bindings::toe_connection_flag_TOE_CONNECTION_TIMESTAMPS);
    assert!(flag::ECN_ECHO as u32 == bindings::toe_connection_flag_TOE_CONNECTION_ECN_ECHO);
    assert!(flag::CWR as u32 == bindings::toe_connection_flag_TOE_CONNECTION_CWR);
};
