// SPDX-License-Identifier: GPL-2.0

//! Established TCP connections of the network namespace, from /proc/net/tcp and tcp6
//! (Documentation/networking/proc_net_tcp.rst).

use anyhow::Context;
use anyhow::Result;
use std::fs;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

/// `TCP_ESTABLISHED` as the files print it.
const ESTABLISHED: &str = "01";

/// Lists the local and remote addresses.
pub fn established() -> Result<Vec<(SocketAddr, SocketAddr)>> {
    let mut connections = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match fs::read_to_string(path) {
            Ok(text) => connections.extend(text.lines().skip(1).filter_map(parse)),
            // The kernel has no IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        }
    }
    Ok(connections)
}

/// Addresses in a line. Returns `None` if the connection is not established.
fn parse(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    (state == ESTABLISHED).then_some((end(local)?, end(remote)?))
}

/// Parses address and port: the 32-bit words of the address in host byte order, then the port
/// number.
fn end(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |text: &str| Some(u32::from_str_radix(text, 16).ok()?.to_ne_bytes());
    let address = if words.len() == 8 {
        IpAddr::from(Ipv4Addr::from(word(words)?))
    } else {
        let mut octets = [0; 16];
        for (i, octets) in octets.chunks_exact_mut(4).enumerate() {
            octets.copy_from_slice(&word(words.get(i * 8..i * 8 + 8)?)?);
        }
        // An IPv4 connection of an IPv6 socket.
        Ipv6Addr::from(octets).to_canonical()
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = "   0: 010200C0:9C40 020200C0:0050 01 00000000:00000000 00:00000000 00000000";
        assert_eq!(
            parse(line),
            Some((
                "192.0.2.1:40000".parse().unwrap(),
                "192.0.2.2:80".parse().unwrap()
            ))
        );
        assert_eq!(parse(&line.replace(" 01 ", " 0A ")), None);
        let six = "1: B80D0120000077000000000001000000:1451 \
                   0000000000000000FFFF0000020200C0:9C40 01";
        assert_eq!(
            parse(six),
            Some((
                "[2001:db8:77::1]:5201".parse().unwrap(),
                "192.0.2.2:40000".parse().unwrap()
            ))
        );
        assert_eq!(parse("1: zz:1 00:2 01"), None);
    }
}
