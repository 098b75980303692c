// SPDX-License-Identifier: GPL-2.0

//! What `bindgen` makes of `include/bindings.h`.
//!
//! The types are the C ones as the kernel crate's own bindings have them, but distinct to the
//! compiler: a pointer crosses between the two with `cast()`, in `net` only.

#![allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]
#![allow(clippy::as_underscore)]
#![allow(clippy::cast_lossless)]
#![allow(clippy::ptr_as_ptr)]
#![allow(clippy::ref_as_ptr)]
#![allow(clippy::undocumented_unsafe_blocks)]
#![cfg_attr(not(CONFIG_RUSTC_HAS_UNNECESSARY_TRANSMUTES), allow(unknown_lints))]
#![allow(unnecessary_transmutes)]

use kernel::ffi;
use pin_init::{
    MaybeZeroable,
    Zeroable, //
};

// Blocked by the kernel's parameters, to be of a size Rust knows.
type __kernel_size_t = usize;
type __kernel_ssize_t = isize;
type __kernel_ptrdiff_t = isize;

// `bindgen` does not derive it: https://github.com/rust-lang/rust-bindgen/issues/3196
//
// SAFETY: `__BindgenBitfieldUnit<Storage>` is a newtype around `Storage`.
unsafe impl<Storage> Zeroable for __BindgenBitfieldUnit<Storage> where Storage: Zeroable {}

include!(env!("TOE_BINDINGS"));
