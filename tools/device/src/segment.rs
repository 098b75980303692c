// SPDX-License-Identifier: GPL-2.0

//! Software GSO: cuts a frame into the wire frames that it stands for.
//!
//! Needed on an impaired port, where wire frames are dropped or delayed individually. Other ports
//! pass GSO frames on.

use toe_engine::env::Gso;
use toe_engine::env::GsoKind;
use toe_engine::gso;
use toe_engine::gso::Large;
use toe_engine::wire::packet::Class;
use toe_engine::wire::packet::Packet;

use crate::frame::Frame;

/// The frame does not match its offload metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction;

/// Calls `emit` for every wire frame of `frame`, in order and with complete checksums. `frame` may
/// be modified; `scratch` is overwritten.
///
/// # Errors
///
/// [`Contradiction`], before anything is emitted.
pub fn cut(
    frame: &mut Frame,
    scratch: &mut Frame,
    mut emit: impl FnMut(&[u8]),
) -> Result<(), Contradiction> {
    if let Some(gso) = frame.offload.gso {
        let large = large(frame.bytes(), &gso)?;
        for index in 0..large.count() {
            let length = large.emit(index, scratch.room());
            emit(&scratch.room()[..length]);
        }
        return Ok(());
    }
    if let Some(partial) = frame.offload.checksum {
        let (start, offset) = (partial.start.into(), partial.offset.into());
        if !gso::complete_checksum(frame.bytes_mut(), start, offset) {
            return Err(Contradiction);
        }
    }
    emit(frame.bytes());
    Ok(())
}

/// The GSO frame in `frame`, if its headers match `gso`.
fn large<'a>(frame: &'a [u8], gso: &Gso) -> Result<Large<'a>, Contradiction> {
    let packet = Packet::parse(frame).map_err(|_| Contradiction)?;
    let fits = match gso.kind {
        GsoKind::Tcp4 => packet.class == Class::Tcp && packet.version == 4,
        GsoKind::Tcp6 => packet.class == Class::Tcp && packet.version == 6,
        GsoKind::Udp => packet.class == Class::Udp,
    };
    if !fits || gso.header_length != packet.payload || gso.size == 0 {
        return Err(Contradiction);
    }
    Ok(Large {
        frame: &frame[..packet.end as usize],
        kind: gso.kind,
        l3: packet.l3.into(),
        l4: packet.l4.into(),
        header: packet.payload.into(),
        size: gso.size.into(),
        v6: packet.version == 6,
    })
}

#[cfg(test)]
mod tests {
    use toe_engine::env::Partial;
    use toe_engine::wire::checksum;
    use toe_engine::wire::ipv4;
    use toe_engine::wire::tcp;
    use toe_engine::wire::tcp::flag::CWR;
    use toe_engine::wire::tcp::flag::FIN;
    use toe_engine::wire::tcp::flag::PSH;
    use toe_engine::wire::udp;

    use super::*;

    /// An Ethernet frame with `payload` bytes of TCP or UDP payload and a pseudo-header checksum.
    fn large(v6: bool, kind: GsoKind, payload: usize, size: u16) -> Frame {
        let protocol = if kind == GsoKind::Udp {
            udp::PROTOCOL
        } else {
            tcp::PROTOCOL
        };
        let transport = if kind == GsoKind::Udp { 8 } else { 20 };
        let mut bytes = vec![2; 12];
        let ip = if v6 { 40 } else { 20 };
        let total = ip + transport + payload;
        if v6 {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            bytes.extend(((total - 40) as u16).to_be_bytes());
            bytes.extend([protocol, 64]);
            bytes.extend((0..32).collect::<Vec<u8>>());
        } else {
            bytes.extend([0x08, 0x00, 0x45, 0, 0, 0, 0, 9, 0x40, 0, 64, protocol, 0, 0]);
            bytes.extend([192, 0, 2, 1, 192, 0, 2, 2]);
            ipv4::finish(&mut bytes[14..34], total as u16, 9);
        }
        let l4 = bytes.len();
        bytes.resize(l4 + transport, 0);
        if kind == GsoKind::Udp {
            bytes[l4 + 4..l4 + 6].copy_from_slice(&((8 + payload) as u16).to_be_bytes());
        } else {
            bytes[l4 + 7] = 100;
            bytes[l4 + 12] = 5 << 4;
            bytes[l4 + tcp::FLAGS] = FIN | PSH | CWR | 0x10;
        }
        bytes.extend((0..payload).map(|i| i as u8));
        let mut frame = Frame::new();
        assert!(frame.append(&bytes));
        frame.offload.checksum = Some(Partial {
            start: l4 as u16,
            offset: if kind == GsoKind::Udp { 6 } else { 16 },
        });
        frame.offload.gso = Some(Gso {
            kind,
            size,
            header_length: (l4 + transport) as u16,
            segments: payload.div_ceil(size.into()) as u16,
        });
        frame
    }

    fn pieces(frame: &mut Frame) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut scratch = Frame::new();
        cut(frame, &mut scratch, |frame| frames.push(frame.to_vec())).expect("a segment");
        frames
    }

    #[test]
    fn wire_frames_have_right_headers_and_hold_all_payload() {
        for (v6, kind) in [
            (false, GsoKind::Tcp4),
            (true, GsoKind::Tcp6),
            (false, GsoKind::Udp),
            (true, GsoKind::Udp),
        ] {
            let frames = pieces(&mut large(v6, kind, 2500, 1000));
            assert_eq!(frames.len(), 3);
            let mut payload = Vec::<u8>::new();
            for (i, frame) in frames.iter().enumerate() {
                let packet = Packet::parse(frame).expect("a frame");
                assert_eq!(packet.checksum_ok(frame), Some(true), "{kind:?} {i}");
                assert_eq!(packet.end as usize, frame.len());
                payload.extend(packet.payload(frame));
                if let Some(tcp) = packet.tcp(frame) {
                    let fin = if i == 2 { FIN | PSH } else { 0 };
                    let cwr = if i == 0 { CWR } else { 0 };
                    assert_eq!(tcp.flags(), 0x10 | fin | cwr);
                }
            }
            assert_eq!(payload, (0..2500).map(|i| i as u8).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_partial_checksum_is_completed() {
        let mut frame = large(false, GsoKind::Tcp4, 100, 1000);
        frame.offload.gso = None;
        let sum = checksum::pseudo_header(&[192, 0, 2, 1], &[192, 0, 2, 2], 6, 120).value();
        frame.bytes_mut()[34 + 16..34 + 18].copy_from_slice(&sum.to_be_bytes());
        let frames = pieces(&mut frame);
        let packet = Packet::parse(&frames[0]).expect("a frame");
        assert_eq!(packet.checksum_ok(&frames[0]), Some(true));
    }

    #[test]
    fn contradictions_are_refused() {
        let mut frame = large(false, GsoKind::Tcp4, 100, 10);
        let refused =
            |frame: &mut Frame| cut(frame, &mut Frame::new(), |_| panic!("emitted")).is_err();
        if let Some(gso) = &mut frame.offload.gso {
            gso.header_length = 20;
        }
        assert!(refused(&mut frame));
        let mut frame = large(false, GsoKind::Tcp4, 100, 0xffff);
        if let Some(gso) = &mut frame.offload.gso {
            gso.size = 0;
        }
        assert!(refused(&mut frame));
        let mut frame = large(false, GsoKind::Tcp4, 100, 10);
        frame.offload.gso = None;
        frame.offload.checksum = Some(Partial {
            start: 150,
            offset: 0xffff,
        });
        assert!(refused(&mut frame));
    }
}
