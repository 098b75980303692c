// SPDX-License-Identifier: GPL-2.0

//! Programs, and the one that a device has.

use crate::{
    bindings,
    net::{
        device::NetDevice,
        napi::Context, //
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

/// A program that is to be attached.
///
/// # Invariants
///
/// A valid program; one of its references is this value's.
pub struct Candidate(NonNull<bindings::bpf_prog>);

impl Candidate {
    /// # Safety
    ///
    /// `raw` is null or a valid program, of which a reference goes over.
    pub(in crate::net) unsafe fn from_raw(raw: *mut bindings::bpf_prog) -> Option<Self> {
        // INVARIANT: The caller gives the reference.
        NonNull::new(raw).map(Self)
    }

    /// Gives the reference away.
    pub(in crate::net) fn into_raw(self) -> *mut bindings::bpf_prog {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Whether it can deal with frames of which a part is in pages.
    pub fn takes_fragments(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::xdp_prog_has_frags(self.0.as_ptr()) }
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the reference ends here, and with the last one the program
        // after an RCU grace period.
        unsafe { bindings::bpf_prog_put(self.0.as_ptr()) }
    }
}

/// The program of a device, if it has one.
///
/// # Invariants
///
/// `program` is null, or a valid program of which one reference is this value's.
pub struct Attachment {
    program: Atomic<*mut bindings::bpf_prog>,
    announced: AtomicFlag,
    linear_only: AtomicFlag,
}

impl Default for Attachment {
    fn default() -> Self {
        Self::new()
    }
}

impl Attachment {
    /// Without a program.
    pub const fn new() -> Self {
        // INVARIANT: Null.
        Self {
            program: Atomic::new(ptr::null_mut()),
            announced: AtomicFlag::new(false),
            linear_only: AtomicFlag::new(false),
        }
    }

    /// Whether there is a program.
    #[inline]
    pub fn is_attached(&self) -> bool {
        !self.program.load(Relaxed).is_null()
    }

    /// Whether there is a program, or about to be one: what it must not meet is to end.
    pub fn is_announced(&self) -> bool {
        self.announced.load(Relaxed)
    }

    /// Whether there is a program that needs frames to be in one piece.
    pub fn is_linear_only(&self) -> bool {
        self.linear_only.load(Relaxed)
    }

    /// The program, for the poll in progress.
    #[inline]
    pub fn program<'a>(&self, _cx: &'a Context<'_>) -> Option<Program<'a>> {
        // INVARIANT: A program that is taken out meanwhile is freed after a grace period only, and a
        // poll is a read-side section.
        NonNull::new(self.program.load(ordering::Acquire)).map(|raw| Program(raw, PhantomData))
    }

    pub(in crate::net) fn announce(&self, announced: bool) {
        self.announced.store(announced, Relaxed);
    }

    /// Puts another program, or none, in the place of the one that there is, which is given back.
    pub(in crate::net) fn replace(&self, program: Option<Candidate>) -> Option<Candidate> {
        let linear_only = program.as_ref().is_some_and(|p| !p.takes_fragments());
        self.linear_only.store(linear_only, Relaxed);
        let raw = program.map_or(ptr::null_mut(), Candidate::into_raw);
        // SAFETY: By the type invariant the reference was this value's.
        // INVARIANT: The reference of the new one goes over.
        unsafe { Candidate::from_raw(self.program.xchg(raw, ordering::Full)) }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        drop(self.replace(None));
    }
}

/// The program of a device, during a poll.
///
/// # Invariants
///
/// A program that is valid for `'a`, which is within a poll.
pub struct Program<'a>(NonNull<bindings::bpf_prog>, PhantomData<&'a ()>);

impl Program<'_> {
    /// Whether it can deal with frames of which a part is in pages.
    #[inline]
    pub fn takes_fragments(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::xdp_prog_has_frags(self.0.as_ptr()) }
    }

    /// Tells those who trace it that a frame could not be sent as the program wanted.
    #[cold]
    pub fn transmit_failed(&self, cx: &Context<'_>) {
        self.exception(cx.device(), bindings::XDP_TX);
    }

    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::bpf_prog {
        self.0.as_ptr()
    }

    #[cold]
    pub(super) fn exception(&self, dev: &NetDevice, action: u32) {
        // SAFETY: By the type invariants.
        unsafe { bindings::trace_xdp_exception(dev.as_raw(), self.0.as_ptr(), action) }
    }
}
