// SPDX-License-Identifier: GPL-2.0

//! Parameters of an impairment.

use toe_abi::admin;
use toe_abi::admin::SetImpairment;

/// Certainty, in parts per million.
pub(super) const CERTAIN: u32 = admin::MAX_PPM;
/// Maximum delay and maximum jitter, in microseconds.
pub(super) const MAX_DELAY: u32 = admin::MAX_IMPAIR_USECS;

/// Impairment parameters of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub(super) loss_ppm: u32,
    pub(super) duplicate_ppm: u32,
    pub(super) reorder_ppm: u32,
    pub(super) corrupt_ppm: u32,
    pub(super) delay_us: u32,
    pub(super) jitter_us: u32,
    pub(super) rate_bps: u64,
    pub(super) seed: u64,
}

impl Profile {
    /// Profile requested by `command`. Returns `None` if a value is out of range.
    pub fn new(command: &SetImpairment) -> Option<Self> {
        let profile = Self {
            loss_ppm: command.loss_ppm,
            duplicate_ppm: command.duplicate_ppm,
            reorder_ppm: command.reorder_ppm,
            corrupt_ppm: command.corrupt_ppm,
            delay_us: command.delay_us,
            jitter_us: command.jitter_us,
            rate_bps: command.rate_bps,
            seed: command.seed,
        };
        let probabilities = [
            profile.loss_ppm,
            profile.duplicate_ppm,
            profile.reorder_ppm,
            profile.corrupt_ppm,
        ];
        let possible = probabilities.iter().all(|&ppm| ppm <= CERTAIN)
            && profile.delay_us.max(profile.jitter_us) <= MAX_DELAY;
        possible.then_some(profile)
    }

    /// Whether the profile has no effect on frames.
    pub fn is_harmless(&self) -> bool {
        *self
            == Self {
                seed: self.seed,
                ..Self::default()
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_profiles_are_refused() {
        let command = SetImpairment::default();
        assert!(Profile::new(&command).is_some_and(|profile| profile.is_harmless()));
        let refused = |command| Profile::new(&command).is_none();
        assert!(refused(SetImpairment {
            loss_ppm: CERTAIN + 1,
            ..command
        }));
        assert!(refused(SetImpairment {
            delay_us: u32::MAX,
            ..command
        }));
    }
}
