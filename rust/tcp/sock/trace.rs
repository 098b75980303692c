// SPDX-License-Identifier: GPL-2.0

//! Tracepoints (`include/trace/events/toe.h`).

use super::{
    obstacle::Detail,
    socket::TcpSock, //
};
use crate::bindings;
use kernel::prelude::*;

/// Name, level and option of a detail, as the tracepoints have them.
fn parts(detail: Option<Detail>) -> (&'static CStr, c_int, c_int) {
    match detail {
        None => (c"", 0, 0),
        Some(Detail::Name(name)) => (name, 0, 0),
        Some(Detail::Setsockopt(level, option)) => (c"setsockopt", level, option),
    }
}

/// `toe_conn_refused`
pub(crate) fn refused(sock: &TcpSock, reason: u32, detail: Option<Detail>) {
    let (name, level, option) = parts(detail);
    // SAFETY: The socket is alive, the name valid.
    unsafe { bindings::trace_refused(sock.as_raw(), reason, name.as_char_ptr(), level, option) }
}

/// `toe_conn_returned`
pub(crate) fn returned(sock: &TcpSock, reason: u32, detail: Option<Detail>) {
    let (name, level, option) = parts(detail);
    // SAFETY: The socket is alive, the name valid.
    unsafe { bindings::trace_returned(sock.as_raw(), reason, name.as_char_ptr(), level, option) }
}
