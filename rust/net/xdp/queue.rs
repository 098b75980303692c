// SPDX-License-Identifier: GPL-2.0

//! Receive queues that run XDP programs.

use super::{
    RunningProgram,
    XdpFrame, //
};
use crate::{
    bindings,
    net::{
        napi::{
            RxContext,
            RxSkBuff, //
        },
        netdev::{
            Allocation,
            InstanceLock, //
        },
        netmem::{
            Pool,
            PoolFrag, //
        },
        skb::UniqueSkBuff, //
    }, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// Headroom of a frame in bytes: room for the program to prepend, and for the `xdp_frame` when it is
/// transmitted.
const HEADROOM: usize =
    bindings::XDP_PACKET_HEADROOM as usize + size_of::<bindings::xdp_frame>().next_multiple_of(64);

/// Tailroom of the linear part in bytes, for a program to append or pull data from fragments. Less
/// when the linear part is longer than [`MAX_LINEAR`]` - TAILROOM`.
pub const TAILROOM: usize = 256;

/// Bytes reserved at the end of a buffer for `skb_shared_info`.
const END: usize = size_of::<bindings::skb_shared_info>().next_multiple_of(64);

/// Maximum length of the linear part, in bytes.
pub const MAX_LINEAR: usize = PAGE_SIZE - HEADROOM - END;

/// Minimum buffer size in bytes.
const MIN_BUFFER: usize = 1024;

/// Input of a received frame's RSS hash (`enum xdp_rss_hash_type`), for the metadata kfunc.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RssHashType {
    /// IPv4 addresses.
    Ip4 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L3_IPV4,
    /// IPv6 addresses.
    Ip6 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L3_IPV6,
    /// IPv4 addresses and TCP ports.
    Tcp4 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L4_IPV4_TCP,
    /// IPv6 addresses and TCP ports.
    Tcp6 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L4_IPV6_TCP,
    /// IPv4 addresses and UDP ports.
    Udp4 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L4_IPV4_UDP,
    /// IPv6 addresses and UDP ports.
    Udp6 = bindings::xdp_rss_hash_type_XDP_RSS_TYPE_L4_IPV6_UDP,
}

/// What became of a frame.
pub enum Verdict<'a> {
    /// The frame goes to the stack.
    Pass {
        /// The frame, `eth_type_trans()` done.
        skb: RxSkBuff<'a>,
        /// Whether length and start are unchanged, so that what the device found out about the frame
        /// still applies.
        intact: bool,
    },
    /// The frame leaves through the interface that received it.
    Transmit(XdpFrame),
    /// The frame was redirected.
    Redirected,
    /// The program dropped the frame.
    Dropped,
    /// The frame is lost: the program failed, or its action could not be carried out.
    Failed,
    /// The frame is lost for lack of memory.
    NoMemory,
}

/// A receive queue for XDP (`struct xdp_rxq_info`), with the frame that is being received.
///
/// # Invariants
///
/// `info` is registered for the device of `dev`, with `pool` as its memory. With `present`, `buff`
/// is a frame in a buffer of `pool` with fragments of other pools, all owned by this value.
pub struct XdpRxQueue {
    info: KBox<Opaque<bindings::xdp_rxq_info>>,
    buff: bindings::toe_xdp_buff,
    present: bool,
    pool: Arc<Pool>,
    dev: Arc<Allocation>,
}

// SAFETY: Nothing in it is bound to a thread.
unsafe impl Send for XdpRxQueue {}

impl XdpRxQueue {
    /// Creates the XDP side of receive queue `queue` of `dev`, with a pool that caches `buffers`
    /// pages. Sleeps.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] when `lock` belongs to another device or there is no such queue, [`ENOMEM`].
    pub fn new(
        lock: &InstanceLock<'_>,
        dev: &Arc<Allocation>,
        queue: u16,
        buffers: u32,
    ) -> Result<Self> {
        let fast = bindings::page_pool_params__bindgen_ty_1_page_pool_params_fast {
            pool_size: buffers.max(1),
            nid: kernel::bindings::NUMA_NO_NODE,
            ..Default::default()
        };
        let pool = Pool::new(lock, dev, queue, fast, 0)?;
        let info = KBox::new(Opaque::zeroed(), GFP_KERNEL)?;
        // SAFETY: `info` is zeroed memory that does not move, the device outlives it by `dev`, and
        // the pool is valid.
        unsafe {
            to_result(bindings::__xdp_rxq_info_reg(
                info.get(),
                dev.device().as_raw(),
                queue.into(),
                0,
                0,
            ))?;
            to_result(bindings::xdp_rxq_info_reg_mem_model(
                info.get(),
                bindings::xdp_mem_type_MEM_TYPE_PAGE_POOL,
                pool.as_raw().cast(),
            ))
            .inspect_err(|_| bindings::xdp_rxq_info_unreg(info.get()))?;
        }
        // INVARIANT: Registered just now; there is no frame.
        Ok(Self {
            info,
            buff: Default::default(),
            present: false,
            pool,
            dev: dev.clone(),
        })
    }

    /// The pool of the buffers, for [`Poll::pools`](crate::net::napi::Poll::pools).
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Begins a frame with room for `length` bytes in the linear part, and [`TAILROOM`] as far as
    /// possible. With `frags`, fragments can be added. An unfinished frame is discarded. Only in the
    /// poll that lists the pool.
    ///
    /// # Errors
    ///
    /// [`EMSGSIZE`] for more than [`MAX_LINEAR`] bytes, [`EINVAL`] in another poll, [`ENOMEM`].
    #[inline]
    pub fn begin(&mut self, rx: &RxContext<'_>, length: usize, frags: bool) -> Result {
        self.abandon();
        if length > MAX_LINEAR {
            return Err(EMSGSIZE);
        }
        if !self.pool.is_linked_to(rx.as_raw()) {
            return Err(EINVAL);
        }
        let size = match frags {
            true => PAGE_SIZE,
            false => (HEADROOM + length + TAILROOM + END)
                .next_power_of_two()
                .clamp(MIN_BUFFER, PAGE_SIZE),
        };
        // CAST: at most a page.
        let mut size = size as u32;
        // SAFETY: The pool is valid. Its cache is not used elsewhere: `&mut self` excludes other
        // allocation, and direct recycling happens in the poll of the instance that it is linked to,
        // which is this one.
        let start = unsafe { bindings::page_pool_dev_alloc_va(self.pool.as_raw(), &mut size) };
        if start.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: A new buffer of `size` bytes has no other owner.
        unsafe {
            let info = self.info.get();
            bindings::xdp_begin(&mut self.buff, start, size, HEADROOM as u32, info);
        }
        // INVARIANT: A frame in a buffer of the pool.
        self.present = true;
        Ok(())
    }

    /// Appends `bytes` to the linear part of a frame without fragments.
    ///
    /// # Errors
    ///
    /// [`ENOSPC`] when there is not enough room, or no such frame.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Result {
        let xdp = &mut self.buff.xdp;
        // SAFETY: With `present` the frame is valid; there is room for the bytes, as checked.
        unsafe {
            if !self.present
                || bindings::xdp_buff_has_frags(xdp)
                || bytes.len() > bindings::xdp_tailroom(xdp) as usize
            {
                return Err(ENOSPC);
            }
            ptr::copy_nonoverlapping(bytes.as_ptr(), xdp.data_end.cast(), bytes.len());
            xdp.data_end = xdp.data_end.byte_add(bytes.len());
        }
        Ok(())
    }

    /// Appends a fragment of pool memory to a frame that was begun with `frags`. `truesize` is the
    /// memory to account for, at least the fragment's length.
    ///
    /// The core assumes that each fragment of a redirected frame has the buffer size of the linear
    /// part when it builds an skb of it, so no fragment may be longer: at most a page.
    ///
    /// # Errors
    ///
    /// Returns the fragment when there is no such frame, when the frame has the maximum number of
    /// fragments, or when the fragment is longer than a page.
    #[inline]
    pub fn add_fragment(&mut self, fragment: PoolFrag, truesize: u32) -> Result<(), PoolFrag> {
        if !self.present || fragment.len() > self.buffer() {
            return Err(fragment);
        }
        let (block, offset, length) = fragment.into_raw();
        let xdp = &mut self.buff.xdp;
        // SAFETY: The frame is valid; the reference to the block passes to it.
        if unsafe { bindings::xdp_buff_add_frag(xdp, block.get(), offset, length, truesize) } {
            Ok(())
        } else {
            // SAFETY: It did not pass to the frame.
            Err(unsafe { PoolFrag::from_raw(block, offset, length) })
        }
    }

    /// Sets the RSS hash, for the metadata kfunc.
    #[inline]
    pub fn set_hash(&mut self, hash: u32, kind: RssHashType) {
        self.buff.hash = hash;
        self.buff.hash_type = kind as bindings::xdp_rss_hash_type;
    }

    /// Discards the unfinished frame, if any.
    #[inline]
    pub fn abandon(&mut self) {
        if self.present {
            self.present = false;
            // SAFETY: By the type invariant the frame belongs to this value.
            unsafe { bindings::xdp_discard(&mut self.buff.xdp) };
        }
    }

    /// Runs `program` on the frame. Without a program the frame passes.
    ///
    /// # Errors
    ///
    /// [`EINVAL`], and the frame discarded, when there is no frame, its linear part is shorter than an
    /// Ethernet header, or this is not the poll that began it.
    pub fn run<'a>(
        &mut self,
        rx: &'a RxContext<'a>,
        program: Option<&RunningProgram<'_>>,
    ) -> Result<Verdict<'a>> {
        let (start, length) = self.bounds();
        let linear = (self.buff.xdp.data_end as usize).wrapping_sub(start as usize);
        if !self.present
            || linear < bindings::ETH_HLEN as usize
            || !self.pool.is_linked_to(rx.as_raw())
        {
            self.abandon();
            return Err(EINVAL);
        }
        let Some(program) = program else {
            return Ok(self.pass(rx, true));
        };
        // SAFETY: The frame is valid.
        let has_frags = unsafe { bindings::xdp_buff_has_frags(&self.buff.xdp) };
        if has_frags && !program.supports_frags() {
            self.abandon();
            return Ok(Verdict::Failed);
        }
        // SAFETY: `program` is valid in this poll; the frame is valid, and stays so.
        let action = unsafe { bindings::bpf_prog_run_xdp(program.as_raw(), &mut self.buff.xdp) };
        Ok(match action {
            bindings::XDP_PASS => {
                let intact = self.bounds() == (start, length);
                self.pass(rx, intact)
            }
            bindings::XDP_DROP => {
                self.abandon();
                Verdict::Dropped
            }
            bindings::XDP_TX => match self.convert() {
                Some(frame) => Verdict::Transmit(frame),
                None => self.fail(program, action),
            },
            bindings::XDP_REDIRECT => {
                let dev = self.dev.device().as_raw();
                // SAFETY: As above; `rx` is the poll, which ends with `xdp_do_flush()`.
                let result =
                    unsafe { bindings::xdp_do_redirect(dev, &mut self.buff.xdp, program.as_raw()) };
                if result == 0 {
                    // The frame passed on.
                    self.present = false;
                    rx.redirected();
                    Verdict::Redirected
                } else {
                    self.fail(program, action)
                }
            }
            _ => {
                if action != bindings::XDP_ABORTED {
                    let dev = self.dev.device().as_raw();
                    // SAFETY: By the type invariants.
                    unsafe { bindings::bpf_warn_invalid_xdp_action(dev, program.as_raw(), action) };
                }
                self.fail(program, action)
            }
        })
    }

    /// Size of the frame's buffer in bytes.
    #[inline]
    fn buffer(&self) -> usize {
        // SAFETY: All variants of the union are plain integers, valid or zeroed.
        unsafe { self.buff.xdp.__bindgen_anon_1.__bindgen_anon_1.frame_sz as usize }
    }

    /// Start and length of the frame.
    #[inline]
    fn bounds(&self) -> (*mut kernel::ffi::c_void, u32) {
        if !self.present {
            return (ptr::null_mut(), 0);
        }
        let xdp = &self.buff.xdp;
        // SAFETY: The frame is valid.
        (xdp.data, unsafe { bindings::xdp_get_buff_len(xdp) })
    }

    fn pass<'a>(&mut self, rx: &'a RxContext<'a>, intact: bool) -> Verdict<'a> {
        // SAFETY: The frame is valid and holds an Ethernet header: no program can make it shorter.
        let skb = unsafe { bindings::xdp_build_skb_from_buff(&self.buff.xdp) };
        let Some(skb) = NonNull::new(skb) else {
            self.abandon();
            return Verdict::NoMemory;
        };
        // The frame passed on.
        self.present = false;
        // SAFETY: A new skb has no other owner and no clone. `xdp_build_skb_from_buff` calls
        // `eth_type_trans()` for the device of `info`, which `rx` polls: the pool is linked to it.
        let skb = unsafe { RxSkBuff::new(rx, UniqueSkBuff::from_raw(skb)) };
        Verdict::Pass { skb, intact }
    }

    /// Converts the frame for transmission; `None` when the program left too little headroom.
    fn convert(&mut self) -> Option<XdpFrame> {
        // SAFETY: The frame is valid.
        let frame = unsafe { bindings::xdp_convert_buff_to_frame(&mut self.buff.xdp) };
        let frame = NonNull::new(frame)?;
        self.present = false;
        // SAFETY: The ownership of the frame passes to the `xdp_frame`.
        Some(unsafe { XdpFrame::from_raw(frame) })
    }

    #[cold]
    fn fail<'a>(&mut self, program: &RunningProgram<'_>, action: u32) -> Verdict<'a> {
        program.exception(self.dev.device(), action);
        self.abandon();
        Verdict::Failed
    }
}

impl Drop for XdpRxQueue {
    fn drop(&mut self) {
        self.abandon();
        // SAFETY: By the type invariant. Frames that are still in use keep what they need of the pool.
        unsafe { bindings::xdp_rxq_info_unreg(self.info.get()) };
    }
}
