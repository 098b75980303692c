// SPDX-License-Identifier: GPL-2.0

//! Bindings that `bindgen` generates from `include/bindings.h`.
//!
//! A C type that the kernel crate binds as well has the same layout here, but is another type for the
//! compiler. Pointers are cast between the two, in `util`, `net` and `tcp` only.

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

// The kernel's bindgen parameters block these so that they are defined as Rust's types.
type __kernel_size_t = usize;
type __kernel_ssize_t = isize;
type __kernel_ptrdiff_t = isize;

// `bindgen` does not derive `Zeroable`: https://github.com/rust-lang/rust-bindgen/issues/3196
//
// SAFETY: `__BindgenBitfieldUnit<Storage>` is a newtype around `Storage`.
unsafe impl<Storage> Zeroable for __BindgenBitfieldUnit<Storage> where Storage: Zeroable {}

include!(env!("TOE_BINDINGS"));
