// SPDX-License-Identifier: GPL-2.0

//! Structures in shared memory: conversion between a Rust struct and its bytes.
//!
//! `layout!` declares a structure with the byte offset of each field. The compiler checks that the
//! offsets ascend, that fields do not overlap and that each field is naturally aligned. Encoding and
//! decoding use byte arrays: they need no `unsafe`, padding is always zero and the byte order is
//! explicit.

use super::table::{
    Row,
    Table, //
};

/// A type that can be a field of a [`Layout`].
pub trait Field: Sized {
    /// Size in bytes.
    const SIZE: usize;
    /// Required alignment of the field's offset in bytes.
    const ALIGN: usize;
    /// Decodes from exactly [`Self::SIZE`] bytes.
    fn decode(bytes: &[u8]) -> Self;
    /// Encodes into exactly [`Self::SIZE`] bytes.
    fn encode(&self, bytes: &mut [u8]);
}

/// A structure with a fixed layout.
pub trait Layout: Sized {
    /// The structure's bytes.
    type Bytes: AsRef<[u8]> + AsMut<[u8]> + Copy;
    /// Size in bytes.
    const SIZE: usize;
    /// Name of the structure.
    const NAME: &'static str;
    /// The fields, in the order of their offsets.
    const TABLE: Table;
    /// Decodes the structure. Bytes outside any field are ignored.
    fn from_bytes(bytes: &Self::Bytes) -> Self;
    /// Encodes the structure. Bytes outside any field are zero.
    fn to_bytes(&self) -> Self::Bytes;
}

macro_rules! integer_field {
    ($($int:ty)*) => {$(
        impl Field for $int {
            const SIZE: usize = size_of::<$int>();
            const ALIGN: usize = size_of::<$int>();
            #[inline(always)]
            fn decode(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<$int>()];
                raw.copy_from_slice(bytes);
                Self::from_le_bytes(raw)
            }
            #[inline(always)]
            fn encode(&self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
integer_field!(u8 u16 u32 u64);

impl<T: Field + Copy + Default, const N: usize> Field for [T; N] {
    const SIZE: usize = N * T::SIZE;
    const ALIGN: usize = T::ALIGN;
    #[inline(always)]
    fn decode(bytes: &[u8]) -> Self {
        let mut out = [T::default(); N];
        for (item, raw) in out.iter_mut().zip(bytes.chunks_exact(T::SIZE)) {
            *item = T::decode(raw);
        }
        out
    }
    #[inline(always)]
    fn encode(&self, bytes: &mut [u8]) {
        for (item, raw) in self.iter().zip(bytes.chunks_exact_mut(T::SIZE)) {
            item.encode(raw);
        }
    }
}

/// Checks at compile time that `fields` ascend without overlap, are aligned to `aligns` and end
/// within `size` bytes.
#[allow(dead_code, reason = "older compilers do not count a use in `const _`")]
pub(crate) const fn check(fields: &[Row], aligns: &[usize], size: usize) {
    let mut end = 0;
    let mut i = 0;
    while i < fields.len() {
        let offset = fields[i].number as usize;
        assert!(offset >= end, "fields overlap or are out of order");
        assert!(offset % aligns[i] == 0, "a field is not aligned");
        end = offset + fields[i].size;
        i += 1;
    }
    assert!(end <= size, "a field lies outside the structure");
}

/// The largest of `values`.
pub(crate) const fn largest(values: &[usize]) -> usize {
    let mut largest = 0;
    let mut i = 0;
    while i < values.len() {
        if values[i] > largest {
            largest = values[i];
        }
        i += 1;
    }
    largest
}

/// Declares a structure with a fixed layout: `layout! { pub struct Name: SIZE { OFFSET => field:
/// type, .. } }`. A structure can be a field of another one. Its fields are in memory in the order of
/// their declaration (`repr(C)`), so that a structure without gaps has a counterpart in C.
macro_rules! layout {
    ($(#[doc = $doc:literal])* pub struct $name:ident: $size:literal {
        $($(#[doc = $field_doc:literal])* $offset:literal => $field:ident: $ty:ty,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name {
            $($(#[doc = $field_doc])* pub $field: $ty,)*
        }

        impl super::Layout for $name {
            type Bytes = [u8; $size];
            const SIZE: usize = $size;
            const NAME: &'static str = stringify!($name);
            const TABLE: super::table::Table = super::table::Table {
                name: stringify!($name),
                doc: &[$($doc),*],
                kind: super::table::Kind::Structure($size),
                rows: &[$(super::table::Row {
                    name: stringify!($field),
                    doc: &[$($field_doc),*],
                    number: $offset,
                    size: <$ty as super::Field>::SIZE,
                },)*],
            };
            #[inline(always)]
            fn from_bytes(bytes: &[u8; $size]) -> Self {
                Self {
                    $($field: super::Field::decode(&bytes[$offset..$offset + <$ty as super::Field>::SIZE]),)*
                }
            }
            #[inline(always)]
            fn to_bytes(&self) -> [u8; $size] {
                let mut bytes = [0; $size];
                $(super::Field::encode(&self.$field, &mut bytes[$offset..$offset + <$ty as super::Field>::SIZE]);)*
                bytes
            }
        }

        impl super::Field for $name {
            const SIZE: usize = $size;
            const ALIGN: usize = super::layout::largest(&[$(<$ty as super::Field>::ALIGN,)*]);
            #[inline(always)]
            fn decode(bytes: &[u8]) -> Self {
                let mut raw = [0; $size];
                raw.copy_from_slice(bytes);
                <Self as super::Layout>::from_bytes(&raw)
            }
            #[inline(always)]
            fn encode(&self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&super::Layout::to_bytes(self));
            }
        }

        impl Default for $name {
            /// All zero.
            #[inline(always)]
            fn default() -> Self {
                <Self as super::Layout>::from_bytes(&[0; $size])
            }
        }

        const _: () = super::layout::check(
            <$name as super::Layout>::TABLE.rows,
            &[$(<$ty as super::Field>::ALIGN,)*],
            $size,
        );
    };
}
pub(crate) use layout;
