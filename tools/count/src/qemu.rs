// SPDX-License-Identifier: GPL-2.0

//! The part of QEMU's plugin interface, version 7, that the plugin uses (QEMU's
//! include/plugins/qemu-plugin.h).

use std::ffi::c_int;
use std::ffi::c_uint;
use std::ffi::c_void;
use std::marker::PhantomData;

/// Version of the interface.
pub const VERSION: c_int = 7;
/// `enum qemu_plugin_op`.
const ADD_U64: c_uint = 0;
/// `enum qemu_plugin_mem_rw`.
const MEM_W: c_uint = 2;

/// Longest instruction of x86.
const LONGEST: usize = 15;

/// `struct qemu_plugin_tb`, opaque.
#[repr(C)]
struct RawBlock {
    _opaque: [u8; 0],
}

/// `struct qemu_plugin_insn`, opaque.
#[repr(C)]
struct RawInstruction {
    _opaque: [u8; 0],
}

/// `struct qemu_plugin_scoreboard`, opaque.
#[repr(C)]
struct RawScoreboard {
    _opaque: [u8; 0],
}

/// A counter of each vCPU (`qemu_plugin_u64`).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Counter {
    scoreboard: *mut RawScoreboard,
    offset: usize,
}

type Translated = extern "C" fn(block: *mut RawBlock, data: *mut c_void);

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, function: Translated, data: *mut c_void);
    fn qemu_plugin_tb_n_insns(block: *const RawBlock) -> usize;
    fn qemu_plugin_tb_vaddr(block: *const RawBlock) -> u64;
    fn qemu_plugin_tb_get_insn(block: *const RawBlock, index: usize) -> *mut RawInstruction;
    fn qemu_plugin_insn_data(
        instruction: *const RawInstruction,
        to: *mut c_void,
        length: usize,
    ) -> usize;
    fn qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
        block: *mut RawBlock,
        operation: c_uint,
        counter: Counter,
        amount: u64,
    );
    fn qemu_plugin_register_vcpu_mem_inline_per_vcpu(
        instruction: *mut RawInstruction,
        access: c_uint,
        operation: c_uint,
        counter: Counter,
        amount: u64,
    );
    fn qemu_plugin_scoreboard_new(size: usize) -> *mut RawScoreboard;
    fn qemu_plugin_u64_sum(counter: Counter) -> u64;
}

/// What is told of each block that QEMU translates.
pub trait Translator: Sync {
    /// QEMU translates `block`, not for the first time if it has forgotten it.
    fn translate(&self, block: &Block<'_>);
}

/// Reports all blocks of plugin `id` to `translator`.
pub fn register<T: Translator>(id: u64, translator: &'static T) {
    extern "C" fn translated<T: Translator>(block: *mut RawBlock, data: *mut c_void) {
        // SAFETY: `data` is the `translator` below, which lives for ever and may be shared.
        let translator = unsafe { &*data.cast_const().cast::<T>() };
        translator.translate(&Block(block, PhantomData));
    }
    let data = std::ptr::from_ref(translator).cast_mut().cast();
    // SAFETY: the function has the required type, and `data` is the pointer that it expects.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translated::<T>, data) }
}

/// A block during its translation.
pub struct Block<'a>(*mut RawBlock, PhantomData<&'a ()>);

impl Block<'_> {
    /// Address of its first instruction.
    pub fn address(&self) -> u64 {
        // SAFETY: the handle is valid during the translation.
        unsafe { qemu_plugin_tb_vaddr(self.0) }
    }

    /// Number of its instructions.
    pub fn len(&self) -> usize {
        // SAFETY: as above.
        unsafe { qemu_plugin_tb_n_insns(self.0) }
    }

    /// Its instructions.
    pub fn instructions(&self) -> impl Iterator<Item = Instruction<'_>> {
        // SAFETY: as above, and the index is less than the number of instructions.
        (0..self.len()).map(|index| unsafe {
            Instruction(qemu_plugin_tb_get_insn(self.0, index), PhantomData)
        })
    }

    /// Adds `amount` to `counter` each time it is executed.
    pub fn count(&self, counter: Counter, amount: u64) {
        // SAFETY: as above, and the counter is part of its scoreboard.
        unsafe {
            qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(self.0, ADD_U64, counter, amount)
        }
    }
}

/// An instruction during the translation of its block.
pub struct Instruction<'a>(*mut RawInstruction, PhantomData<&'a ()>);

impl Instruction<'_> {
    /// Applies `function` to its machine code.
    pub fn with_code<R>(&self, function: impl FnOnce(&[u8]) -> R) -> R {
        let mut code = [0; LONGEST];
        // SAFETY: the handle is valid during the translation, and `code` has that length.
        let length = unsafe { qemu_plugin_insn_data(self.0, code.as_mut_ptr().cast(), LONGEST) };
        function(&code[..length])
    }

    /// Adds `amount` to `counter` each time it writes to memory.
    pub fn count_writes(&self, counter: Counter, amount: u64) {
        // SAFETY: as above, and the counter is part of its scoreboard.
        unsafe {
            qemu_plugin_register_vcpu_mem_inline_per_vcpu(self.0, MEM_W, ADD_U64, counter, amount);
        }
    }
}

/// Counters of each vCPU.
pub struct Scoreboard {
    raw: *mut RawScoreboard,
    counters: usize,
}

// SAFETY: QEMU's functions on a scoreboard may be called in any thread.
unsafe impl Send for Scoreboard {}
// SAFETY: as above.
unsafe impl Sync for Scoreboard {}

impl Scoreboard {
    /// Creates a number of counters, which are never freed.
    pub fn new(counters: usize) -> Self {
        Self {
            // SAFETY: called from the plugin's installation, as QEMU permits.
            raw: unsafe { qemu_plugin_scoreboard_new(counters * size_of::<u64>()) },
            counters,
        }
    }

    /// Counter `index`.
    pub fn counter(&self, index: usize) -> Counter {
        assert!(index < self.counters);
        Counter {
            scoreboard: self.raw,
            offset: index * size_of::<u64>(),
        }
    }
}

impl Counter {
    /// Sum over all vCPUs.
    pub fn sum(self) -> u64 {
        // SAFETY: the counter is part of its scoreboard.
        unsafe { qemu_plugin_u64_sum(self) }
    }
}
