// SPDX-License-Identifier: GPL-2.0

//! Command-line syntax of a hostile adapter.

use std::str::FromStr;

use thiserror::Error;
use toe_abi::admin::MAX_PPM;

/// Highest probability of a lie unless the user gives another, in parts per million.
const DEFAULT_PPM: u32 = 50_000;

/// A hostile adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostileSpec {
    /// Seed of the lies.
    pub seed: u64,
    /// Highest probability of a lie, in parts per million.
    pub ppm: u32,
    /// It lies from the start.
    pub lies: bool,
}

/// A syntax error on the command line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("use SEED[,RATE][,off], with a percentage such as 0.1% as RATE")]
pub struct HostileSpecError;

impl FromStr for HostileSpec {
    type Err = HostileSpecError;

    fn from_str(spec: &str) -> Result<Self, HostileSpecError> {
        let mut items = spec.split(',');
        let seed = items.next().and_then(|item| item.parse().ok());
        let mut result = Self {
            seed: seed.ok_or(HostileSpecError)?,
            ppm: DEFAULT_PPM,
            lies: true,
        };
        for item in items {
            let rate = item.strip_suffix('%').map(str::parse::<f64>);
            match rate {
                Some(Ok(percent)) if (0.0..=100.0).contains(&percent) => {
                    // CAST: at most a million.
                    result.ppm = (f64::from(MAX_PPM) * percent / 100.0).round() as u32;
                }
                None if item == "off" => result.lies = false,
                _ => return Err(HostileSpecError),
            }
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_rate_and_silence_are_parsed() {
        let spec = |seed, ppm, lies| Ok(HostileSpec { seed, ppm, lies });
        assert_eq!("7".parse(), spec(7, DEFAULT_PPM, true));
        assert_eq!("7,0.5%".parse(), spec(7, 5_000, true));
        assert_eq!("0,100%,off".parse(), spec(0, MAX_PPM, false));
        assert_eq!("1,off".parse(), spec(1, DEFAULT_PPM, false));
        for wrong in [
            "", "x", "1,", "1,5", "1,-1%", "1,101%", "1,NaN%", "off", "0.1%",
        ] {
            assert_eq!(
                wrong.parse::<HostileSpec>(),
                Err(HostileSpecError),
                "{wrong}"
            );
        }
    }
}
