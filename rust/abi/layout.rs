// SPDX-License-Identifier: GPL-2.0

//! Fixed layouts: how a plain Rust struct and its bytes in shared memory belong together.
//!
//! A layout is declared with `layout!`: every field has its byte offset written beside it, and the
//! compiler checks that offsets ascend, that nothing overlaps and that every field is aligned to
//! its size. Encoding and decoding go through byte arrays, so neither needs `unsafe`, padding is
//! always zero and the byte order is explicit.

/// A type that can be a field of a [`Layout`].
pub trait Field: Sized {
    /// Size in bytes.
    const SIZE: usize;
    /// Alignment in bytes that the offset of such a field must have.
    const ALIGN: usize;
    /// Decodes from exactly [`Self::SIZE`] bytes.
    fn decode(bytes: &[u8]) -> Self;
    /// Encodes into exactly [`Self::SIZE`] bytes.
    fn encode(&self, bytes: &mut [u8]);
}

/// Name, offset and size of one field: what the ABI document is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// The field's name.
    pub name: &'static str,
    /// Offset from the start of the structure, in bytes.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

/// A structure with a fixed place for every byte.
pub trait Layout: Sized {
    /// The structure's bytes.
    type Bytes: AsRef<[u8]> + AsMut<[u8]> + Copy;
    /// Size in bytes.
    const SIZE: usize;
    /// Name of the structure.
    const NAME: &'static str;
    /// The fields in order of their offsets.
    const FIELDS: &'static [FieldInfo];
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

/// Checks at compile time that `fields` ascend without overlap and end within `size` bytes.
#[allow(dead_code, reason = "older compilers do not count a use in `const _`")]
pub(crate) const fn check(fields: &[FieldInfo], aligns: &[usize], size: usize) {
    let mut end = 0;
    let mut i = 0;
    while i < fields.len() {
        assert!(
            fields[i].offset >= end,
            "fields overlap or are out of order"
        );
        assert!(fields[i].offset % aligns[i] == 0, "a field is not aligned");
        end = fields[i].offset + fields[i].size;
        i += 1;
    }
    assert!(end <= size, "a field lies outside the structure");
}

/// Declares a structure with a fixed layout: `layout! { pub struct Name: SIZE { OFFSET => field:
/// type, .. } }`.
macro_rules! layout {
    ($(#[$meta:meta])* pub struct $name:ident: $size:literal {
        $($(#[$field_meta:meta])* $offset:literal => $field:ident: $ty:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        impl super::Layout for $name {
            type Bytes = [u8; $size];
            const SIZE: usize = $size;
            const NAME: &'static str = stringify!($name);
            const FIELDS: &'static [super::FieldInfo] = &[
                $(super::FieldInfo {
                    name: stringify!($field),
                    offset: $offset,
                    size: <$ty as super::Field>::SIZE,
                },)*
            ];
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

        impl Default for $name {
            /// All zero.
            #[inline(always)]
            fn default() -> Self {
                <Self as super::Layout>::from_bytes(&[0; $size])
            }
        }

        const _: () = super::layout::check(
            <$name as super::Layout>::FIELDS,
            &[$(<$ty as super::Field>::ALIGN,)*],
            $size,
        );
    };
}
pub(crate) use layout;

/// Declares an enumeration with fixed values and its decoder `from_raw`, which gives `None` for any
/// other value.
macro_rules! wire_enum {
    ($(#[$meta:meta])* pub enum $name:ident: $repr:ty {
        $($(#[$variant_meta:meta])* $variant:ident = $value:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr($repr)]
        pub enum $name {
            $($(#[$variant_meta])* $variant = $value,)*
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Decodes a raw value; `None` for one that this version of the contract does not know.
            #[inline]
            pub const fn from_raw(raw: $repr) -> Option<Self> {
                match raw {
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The raw value.
            #[inline]
            pub const fn raw(self) -> $repr {
                self as $repr
            }
        }
    };
}
pub(crate) use wire_enum;
