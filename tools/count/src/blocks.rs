// SPDX-License-Identifier: GPL-2.0

//! Numbers of the guest's blocks.

use std::collections::HashMap;

/// Number of all of user space.
pub const USER: usize = 0;
/// Number of all kernel blocks for which no other is left.
const REST: usize = 1;

/// Numbers below a limit, by the address of a block.
pub struct Blocks {
    numbers: HashMap<u64, usize>,
    /// Addresses by number. The first two are of no block.
    addresses: Vec<u64>,
    limit: usize,
}

impl Blocks {
    /// Creates a table for numbers below `limit`.
    pub fn new(limit: usize) -> Self {
        Self {
            numbers: HashMap::new(),
            addresses: vec![0, 0],
            limit,
        }
    }

    /// Number of the block at `address`, the same each time.
    pub fn number(&mut self, address: u64) -> usize {
        if address >> 63 == 0 {
            return USER;
        }
        if let Some(&number) = self.numbers.get(&address) {
            return number;
        }
        let number = self.addresses.len();
        if number >= self.limit {
            return REST;
        }
        self.numbers.insert(address, number);
        self.addresses.push(address);
        number
    }

    /// Numbers and addresses of the kernel's blocks; address 0 stands for the rest.
    pub fn kernel(&self) -> impl Iterator<Item = (usize, u64)> {
        self.addresses.iter().copied().enumerate().skip(REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: u64 = 0xffff_ffff_8100_0000;

    #[test]
    fn each_kernel_block_has_a_number_until_none_is_left() {
        let mut blocks = Blocks::new(4);
        let first = blocks.number(TEXT);
        let second = blocks.number(TEXT + 16);
        assert_eq!([first, second], [2, 3]);
        assert_eq!(blocks.number(0x40_1000), USER);
        assert_eq!(blocks.number(TEXT + 32), REST);
        assert_eq!(blocks.number(TEXT), first);
        let kernel: Vec<_> = blocks.kernel().collect();
        assert_eq!(kernel, [(REST, 0), (first, TEXT), (second, TEXT + 16)]);
    }
}
