// SPDX-License-Identifier: GPL-2.0

//! Command-line syntax of ports, functions and impairment.

use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;
use toe_abi::admin::SetImpairment;

use crate::impairment::Profile;

/// A syntax error on the command line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct SpecError(String);

/// Port type and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortSpec {
    /// One end of the cable with this name.
    Cable(String),
    /// A pair of Unix datagram sockets.
    Dgram {
        /// Local address.
        local: PathBuf,
        /// Remote address.
        remote: PathBuf,
    },
    /// A TAP interface.
    Tap(String),
}

impl FromStr for PortSpec {
    type Err = SpecError;

    fn from_str(spec: &str) -> Result<Self, SpecError> {
        let error = || {
            SpecError(format!(
                "invalid port '{spec}': use cable:NAME, dgram:LOCAL,REMOTE or tap:INTERFACE"
            ))
        };
        let (kind, rest) = spec.split_once(':').ok_or_else(error)?;
        if rest.is_empty() {
            return Err(error());
        }
        match kind {
            "cable" => Ok(Self::Cable(rest.to_owned())),
            "tap" => Ok(Self::Tap(rest.to_owned())),
            "dgram" => match rest.split_once(',') {
                Some((local, remote)) if !local.is_empty() && !remote.is_empty() => {
                    Ok(Self::Dgram {
                        local: local.into(),
                        remote: remote.into(),
                    })
                }
                _ => Err(error()),
            },
            _ => Err(error()),
        }
    }
}

/// A PCI function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSpec {
    /// Path of the vfio-user socket.
    pub socket: PathBuf,
    /// Permanent MAC address, if given.
    pub mac: Option<[u8; 6]>,
}

/// Parses `aa:bb:cc:dd:ee:ff`, a unicast address.
fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut octets = text.split(':');
    for octet in &mut mac {
        *octet = u8::from_str_radix(octets.next()?, 16).ok()?;
    }
    (octets.next().is_none() && mac[0] & 1 == 0 && mac != [0; 6]).then_some(mac)
}

impl FromStr for FunctionSpec {
    type Err = SpecError;

    fn from_str(spec: &str) -> Result<Self, SpecError> {
        let (socket, options) = spec.split_once(',').unwrap_or((spec, ""));
        if socket.is_empty() {
            return Err(SpecError(format!(
                "missing socket in '{spec}': use SOCKET[,mac=ADDRESS]"
            )));
        }
        let mut function = Self {
            socket: socket.into(),
            mac: None,
        };
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let address = option.strip_prefix("mac=").and_then(mac);
            function.mac = Some(address.ok_or_else(|| {
                SpecError(format!(
                    "invalid function option '{option}': use mac= with a unicast address"
                ))
            })?);
        }
        Ok(function)
    }
}

/// Impairment of every port in both directions, in effect from the start and after each reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImpairSpec(pub Profile);

/// Parses a number followed by one of `units`, and scales it by the factor of the unit.
fn quantity(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, factor) = units
        .iter()
        .find_map(|&(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let value: f64 = number.parse().ok()?;
    (value.is_finite() && value >= 0.0).then(|| (value * factor).round())
}

impl FromStr for ImpairSpec {
    type Err = SpecError;

    fn from_str(spec: &str) -> Result<Self, SpecError> {
        // Casts from floating point saturate. The profile rejects values out of range.
        let percent = |text| Some(quantity(text, &[("%", 10_000.0)])? as u32);
        let time = |text| Some(quantity(text, &[("us", 1.0), ("ms", 1e3), ("s", 1e6)])? as u32);
        let rate = |text| {
            let units = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];
            Some(quantity(text, &units)? as u64)
        };
        let mut command = SetImpairment::default();
        let mut set = |key, value| {
            match key {
                "loss" => command.loss_ppm = percent(value)?,
                "duplicate" => command.duplicate_ppm = percent(value)?,
                "reorder" => command.reorder_ppm = percent(value)?,
                "corrupt" => command.corrupt_ppm = percent(value)?,
                "delay" => command.delay_us = time(value)?,
                "jitter" => command.jitter_us = time(value)?,
                "rate" => command.rate_bps = rate(value)?,
                "seed" => command.seed = value.parse().ok()?,
                _ => return None,
            }
            Some(())
        };
        for item in spec.split(',') {
            item.split_once('=')
                .and_then(|(key, value)| set(key, value))
                .ok_or_else(|| {
                    SpecError(format!(
                        "invalid impairment '{item}': use loss=, duplicate=, reorder= or corrupt= \
                         with a percentage such as 1%, delay=10ms, jitter=500us, rate=100mbit \
                         or seed=7"
                    ))
                })?;
        }
        Profile::new(&command)
            .map(Self)
            .ok_or_else(|| SpecError(format!("value out of range in '{spec}'")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        assert_eq!("cable:a".parse(), Ok(PortSpec::Cable("a".into())));
        assert_eq!("tap:toe0".parse(), Ok(PortSpec::Tap("toe0".into())));
        assert_eq!(
            "dgram:/a,/b".parse(),
            Ok(PortSpec::Dgram {
                local: "/a".into(),
                remote: "/b".into()
            })
        );
        for wrong in ["", "cable", "cable:", "dgram:/a", "dgram:/a,", "pcap:/a"] {
            assert!(wrong.parse::<PortSpec>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn functions() {
        let plain: FunctionSpec = "/tmp/a.sock".parse().expect("a socket");
        assert_eq!((plain.socket, plain.mac), ("/tmp/a.sock".into(), None));
        let mac: FunctionSpec = "/tmp/a,mac=02:00:00:00:00:1f".parse().expect("a socket");
        assert_eq!(mac.mac, Some([2, 0, 0, 0, 0, 0x1f]));
        for wrong in [
            "",
            ",mac=02:00:00:00:00:01",
            "a,mac=01:00:00:00:00:01",
            "a,mac=02:00",
            "a,b",
        ] {
            assert!(wrong.parse::<FunctionSpec>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn impairments() {
        let spec: ImpairSpec = "loss=0.5%,delay=2ms,jitter=30us,rate=100mbit,seed=7"
            .parse()
            .expect("an impairment");
        let command = SetImpairment {
            loss_ppm: 5_000,
            delay_us: 2_000,
            jitter_us: 30,
            rate_bps: 100_000_000,
            seed: 7,
            ..SetImpairment::default()
        };
        assert_eq!(Some(spec.0), Profile::new(&command));
        for wrong in [
            "",
            "loss",
            "loss=1",
            "loss=-1%",
            "loss=101%",
            "loss=NaN%",
            "delay=1",
            "delay=1e99s",
            "colour=1%",
        ] {
            assert!(wrong.parse::<ImpairSpec>().is_err(), "{wrong}");
        }
    }
}
