// SPDX-License-Identifier: GPL-2.0

//! Named constants of the contract and their tables in `Documentation/abi.md`.
//!
//! Every structure, enumeration, set of flags, register and constant is declared by a macro of this
//! module or of [`layout`](super::layout). The macro also emits a [`Table`] with the names, values
//! and doc comments, from which a test of `tools/abi` generates the tables of the document.

/// A doc comment, one string per line.
pub type Doc = &'static [&'static str];

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Name of the field, value, flag, register or constant.
    pub name: &'static str,
    /// Its meaning.
    pub doc: Doc,
    /// Offset of a field or register, bit number of a flag, value of a constant.
    pub number: u64,
    /// Size of a field or register in bytes, else 0.
    pub size: usize,
}

/// What the rows of a table are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Fields of a structure of this many bytes.
    Structure(usize),
    /// Values of an enumeration, with the type of its raw value.
    Enumeration(&'static str),
    /// Flags, with the type of the field.
    Flags(&'static str),
    /// Registers of BAR 0.
    Registers,
    /// Constants.
    Constants,
    /// Counters, by their index.
    Counters,
}

/// A table of the document.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Name of the type or module; the module of a type is not part of it.
    pub name: &'static str,
    /// Meaning of the whole.
    pub doc: Doc,
    /// What the rows are.
    pub kind: Kind,
    /// The rows, in the order of declaration.
    pub rows: &'static [Row],
}

/// Declares an enumeration with fixed values and its decoder `from_raw`, which returns `None` for
/// any other value.
macro_rules! wire_enum {
    ($(#[doc = $doc:literal])* pub enum $name:ident: $repr:ty {
        $($(#[doc = $variant_doc:literal])* $variant:ident = $value:literal,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr($repr)]
        pub enum $name {
            $($(#[doc = $variant_doc])* $variant = $value,)*
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The values for the document.
            pub const TABLE: $crate::abi::table::Table = $crate::abi::table::Table {
                name: stringify!($name),
                doc: &[$($doc),*],
                kind: $crate::abi::table::Kind::Enumeration(stringify!($repr)),
                rows: &[$($crate::abi::table::Row {
                    name: stringify!($variant),
                    doc: &[$($variant_doc),*],
                    number: $value,
                    size: 0,
                },)*],
            };

            /// Decodes a raw value; `None` when this version of the contract does not define it.
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

/// Declares the flags of a field as a module of constants: `flags! { pub mod name: type { FLAG = BIT,
/// .. } }`. The module also has `ALL`, the union of the flags. Unions of some flags may follow behind a
/// semicolon: `NAME: FLAG | FLAG`.
macro_rules! flags {
    ($(#[doc = $doc:literal])* pub mod $name:ident: $ty:ty {
        $($(#[doc = $flag_doc:literal])* $flag:ident = $bit:literal),+ $(,)?
        $(; $($(#[doc = $union_doc:literal])* $union:ident: $value:expr,)+)?
    }) => {
        $(#[doc = $doc])*
        pub mod $name {
            $($(#[doc = $flag_doc])* pub const $flag: $ty = 1 << $bit;)+
            $($($(#[doc = $union_doc])* pub const $union: $ty = $value;)+)?

            /// Every flag.
            pub const ALL: $ty = $($flag)|+;

            /// The flags for the document.
            pub const TABLE: $crate::abi::table::Table = $crate::abi::table::Table {
                name: stringify!($name),
                doc: &[$($doc),*],
                kind: $crate::abi::table::Kind::Flags(stringify!($ty)),
                rows: &[$($crate::abi::table::Row {
                    name: stringify!($flag),
                    doc: &[$($flag_doc),*],
                    number: $bit,
                    size: 0,
                },)+],
            };
        }
    };
}
pub(crate) use flags;

/// Declares the constants of a module, all in one invocation.
macro_rules! constants {
    ($($(#[doc = $doc:literal])* pub const $name:ident: $ty:ty = $value:expr;)*) => {
        $($(#[doc = $doc])* pub const $name: $ty = $value;)*

        /// The constants of this module for the document.
        pub const CONSTANTS: $crate::abi::table::Table = $crate::abi::table::Table {
            name: "constants",
            doc: &[],
            kind: $crate::abi::table::Kind::Constants,
            rows: &[$($crate::abi::table::Row {
                name: stringify!($name),
                doc: &[$($doc),*],
                number: $name as u64,
                size: 0,
            },)*],
        };
    };
}
pub(crate) use constants;

/// Declares the registers of BAR 0: `registers! { OFFSET => NAME: type, .. }`, each a constant with
/// its offset.
macro_rules! registers {
    ($($(#[doc = $doc:literal])* $offset:literal => $name:ident: $ty:ty,)*) => {
        $($(#[doc = $doc])* pub const $name: usize = $offset;)*

        /// The registers for the document.
        pub const REGISTERS: $crate::abi::table::Table = $crate::abi::table::Table {
            name: "registers",
            doc: &[],
            kind: $crate::abi::table::Kind::Registers,
            rows: &[$($crate::abi::table::Row {
                name: stringify!($name),
                doc: &[$($doc),*],
                number: $offset,
                size: size_of::<$ty>(),
            },)*],
        };
    };
}
pub(crate) use registers;
