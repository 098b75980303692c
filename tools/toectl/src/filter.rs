// SPDX-License-Identifier: GPL-2.0

//! Selection of connections.

use crate::conn::Conn;
use crate::interface;
use anyhow::Result;
use clap::Args;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::str::FromStr;

/// An address prefix; a plain address is a prefix of full length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "no IP address".to_string())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(length) => length
                .parse()
                .ok()
                .filter(|length| *length <= longest)
                .ok_or_else(|| format!("prefix length must be 0 to {longest}"))?,
        };
        Ok(Self { address, length })
    }
}

impl Prefix {
    /// Whether `address` matches the prefix.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differ = match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                u128::from(a.to_bits() ^ b.to_bits()) << (u128::BITS - u32::BITS)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
            _ => return false,
        };
        differ.leading_zeros() >= u32::from(self.length)
    }
}

/// Selection by addresses and ports. All given criteria must match.
#[derive(Clone, Debug, Default, Args)]
pub struct Tuples {
    /// Local address or prefix
    #[arg(long, value_name = "ADDRESS[/LENGTH]")]
    pub local: Option<Prefix>,
    /// Remote address or prefix
    #[arg(long, value_name = "ADDRESS[/LENGTH]")]
    pub remote: Option<Prefix>,
    /// Local port
    #[arg(long)]
    pub lport: Option<u16>,
    /// Remote port
    #[arg(long)]
    pub rport: Option<u16>,
    /// Local or remote port
    #[arg(long)]
    pub port: Option<u16>,
}

impl Tuples {
    /// Whether there are no criteria, so that every connection matches.
    pub fn is_empty(&self) -> bool {
        self.local.is_none()
            && self.remote.is_none()
            && self.lport.is_none()
            && self.rport.is_none()
            && self.port.is_none()
    }

    /// Whether a connection with these addresses matches.
    pub fn matches(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.local.is_none_or(|prefix| prefix.contains(local.ip()))
            && self
                .remote
                .is_none_or(|prefix| prefix.contains(remote.ip()))
            && self.lport.is_none_or(|port| port == local.port())
            && self.rport.is_none_or(|port| port == remote.port())
            && self
                .port
                .is_none_or(|port| port == local.port() || port == remote.port())
    }
}

/// Selection of delegated connections.
#[derive(Clone, Debug, Default, Args)]
pub struct Filter {
    /// Interface of the adapter
    #[arg(long)]
    pub dev: Option<String>,
    #[command(flatten)]
    pub tuples: Tuples,
    /// Socket cookie in hexadecimal, as printed by `ss -e` (sk:...). A socket has a cookie once
    /// `ss` or the application has requested it
    #[arg(long, value_parser = cookie)]
    pub cookie: Option<u64>,
}

fn cookie(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
        .map_err(|_| "not a hexadecimal number".into())
}

impl Filter {
    /// Whether there are no criteria.
    pub fn is_empty(&self) -> bool {
        self.dev.is_none() && self.cookie.is_none() && self.tuples.is_empty()
    }

    /// Index of the interface, if one is given.
    ///
    /// # Errors
    ///
    /// If there is no such interface.
    pub fn ifindex(&self) -> Result<Option<u32>> {
        self.dev.as_deref().map(interface::index).transpose()
    }

    /// Whether `conn` matches. The caller has compared its interface with [`Self::ifindex`].
    pub fn matches(&self, conn: &Conn) -> bool {
        self.cookie.is_none_or(|cookie| cookie == conn.cookie)
            && self.tuples.matches(conn.local, conn.remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let net: Prefix = "192.0.2.0/24".parse().unwrap();
        assert!(net.contains("192.0.2.255".parse().unwrap()));
        assert!(!net.contains("192.0.3.0".parse().unwrap()));
        assert!(!net.contains("::192.0.2.1".parse().unwrap()));
        let all: Prefix = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("255.0.0.1".parse().unwrap()));
        let one: Prefix = "2001:db8::1".parse().unwrap();
        assert!(one.contains("2001:db8::1".parse().unwrap()));
        assert!(!one.contains("2001:db8::2".parse().unwrap()));
        assert!("192.0.2.0/33".parse::<Prefix>().is_err());
        assert!("192.0.2".parse::<Prefix>().is_err());
    }

    #[test]
    fn tuples() {
        let local = "192.0.2.1:40000".parse().unwrap();
        let remote = "192.0.2.2:80".parse().unwrap();
        let mut tuples = Tuples::default();
        assert!(tuples.is_empty() && tuples.matches(local, remote));
        tuples.port = Some(80);
        assert!(!tuples.is_empty() && tuples.matches(local, remote));
        tuples.lport = Some(80);
        assert!(!tuples.matches(local, remote));
    }
}
