// SPDX-License-Identifier: GPL-2.0

//! XDP programs, and the one attached to a device.

use crate::{
    bindings,
    net::{
        napi::RxContext,
        netdev::NetDevice, //
    }, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::sync::atomic::{
    ordering,
    Atomic,
    AtomicFlag,
    Relaxed, //
};

/// A reference to an XDP program (`struct bpf_prog`).
///
/// # Invariants
///
/// A valid program, of which one reference belongs to this value.
pub struct Program(NonNull<bindings::bpf_prog>);

impl Program {
    /// # Safety
    ///
    /// `raw` must be null or a valid program, of which a reference is handed over.
    pub(in crate::net) unsafe fn from_raw(raw: *mut bindings::bpf_prog) -> Option<Self> {
        // INVARIANT: The caller hands over the reference.
        NonNull::new(raw).map(Self)
    }

    /// Releases the reference to the caller.
    pub(in crate::net) fn into_raw(self) -> *mut bindings::bpf_prog {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Whether it supports frames with fragments (`xdp.frags`).
    pub fn supports_frags(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::xdp_prog_has_frags(self.0.as_ptr()) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the reference ends here. The last one frees the program
        // after an RCU grace period.
        unsafe { bindings::bpf_prog_put(self.0.as_ptr()) }
    }
}

/// The XDP program of a device, if any.
///
/// # Invariants
///
/// `program` is null, or a valid program of which one reference belongs to this value.
pub struct Attachment {
    program: Atomic<*mut bindings::bpf_prog>,
    /// A program is attached or being attached.
    announced: AtomicFlag,
    /// The attached program does not support fragments.
    linear_only: AtomicFlag,
}

impl Default for Attachment {
    fn default() -> Self {
        Self::new()
    }
}

impl Attachment {
    /// Creates an attachment without a program.
    pub const fn new() -> Self {
        // INVARIANT: Null.
        Self {
            program: Atomic::new(ptr::null_mut()),
            announced: AtomicFlag::new(false),
            linear_only: AtomicFlag::new(false),
        }
    }

    /// Whether a program is attached.
    #[inline]
    pub fn is_attached(&self) -> bool {
        !self.program.load(Relaxed).is_null()
    }

    /// Whether a program is attached or being attached. Features and traffic that XDP excludes must
    /// end as soon as this is true.
    pub fn is_announced(&self) -> bool {
        self.announced.load(Relaxed)
    }

    /// Whether the attached program needs linear frames.
    pub fn is_linear_only(&self) -> bool {
        self.linear_only.load(Relaxed)
    }

    /// The program, for use in this poll.
    #[inline]
    pub fn program<'a>(&self, _rx: &'a RxContext<'_>) -> Option<RunningProgram<'a>> {
        // INVARIANT: A program that is replaced meanwhile is freed only after an RCU grace period, and
        // a poll is a read-side critical section.
        NonNull::new(self.program.load(ordering::Acquire))
            .map(|raw| RunningProgram(raw, PhantomData))
    }

    /// Sets whether a program is attached or being attached.
    pub(in crate::net) fn announce(&self, announced: bool) {
        self.announced.store(announced, Relaxed);
    }

    /// Replaces the program and returns the previous one.
    pub(in crate::net) fn replace(&self, program: Option<Program>) -> Option<Program> {
        let linear_only = program.as_ref().is_some_and(|p| !p.supports_frags());
        self.linear_only.store(linear_only, Relaxed);
        let raw = program.map_or(ptr::null_mut(), Program::into_raw);
        // SAFETY: By the type invariant the reference of the previous program belonged to this value.
        // INVARIANT: The reference of the new program passes to this value.
        unsafe { Program::from_raw(self.program.xchg(raw, ordering::Full)) }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        drop(self.replace(None));
    }
}

/// The XDP program of a device, during a poll.
///
/// # Invariants
///
/// A program that is valid for `'a`, which is within a poll.
pub struct RunningProgram<'a>(NonNull<bindings::bpf_prog>, PhantomData<&'a ()>);

impl RunningProgram<'_> {
    /// Whether it supports frames with fragments (`xdp.frags`).
    #[inline]
    pub fn supports_frags(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::xdp_prog_has_frags(self.0.as_ptr()) }
    }

    /// Traces that the `XDP_TX` action on a frame failed (`xdp:xdp_exception`).
    #[cold]
    pub fn transmit_failed(&self, rx: &RxContext<'_>) {
        self.exception(rx.device(), bindings::XDP_TX);
    }

    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::bpf_prog {
        self.0.as_ptr()
    }

    /// Traces that `action` on a frame failed.
    #[cold]
    pub(super) fn exception(&self, dev: &NetDevice, action: u32) {
        // SAFETY: By the type invariants.
        unsafe { bindings::trace_xdp_exception(dev.as_raw(), self.0.as_ptr(), action) }
    }
}
