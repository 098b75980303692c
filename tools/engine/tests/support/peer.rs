// SPDX-License-Identifier: GPL-2.0

//! A model of the host's side of one connection.
//!
//! It keeps the stream to send in host memory, submits it to the adapter and checks completions.
//! Between a return and the next hand-over it runs a minimal TCP itself.
#![allow(dead_code, reason = "no test uses all of it")]

use std::collections::BTreeMap;
use std::collections::VecDeque;

use toe_abi::Layout;
use toe_abi::completion::HandoverStatus;
use toe_abi::completion::Reason;
use toe_abi::completion::Resumed;
use toe_abi::connection;
use toe_abi::connection::ConnectionState;
use toe_abi::connection::SendState;
use toe_abi::submission;
use toe_abi::submission::SubmissionOp;
use toe_engine::env::RxChecksum;
use toe_engine::tcp::Seq;
use toe_engine::tcp::Timestamps;
use toe_engine::wire::checksum;
use toe_engine::wire::ethernet;
use toe_engine::wire::ipv4;
use toe_engine::wire::ipv6;
use toe_engine::wire::packet::Packet;
use toe_engine::wire::tcp;
use toe_engine::wire::tcp::Options;
use toe_engine::wire::tcp::Repr;
use toe_engine::wire::tcp::flag;

use crate::support::BASE;
use crate::support::Event;
use crate::support::FREE;
use crate::support::Node;
use crate::support::WireFrame;

/// Receive window of the host, in bytes.
const WINDOW: u32 = 256 * 1024;
/// Address of the stream, behind memory for frames.
const STREAM: u64 = BASE + FREE + 0x1_0000;

/// Which side runs the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The host.
    Host,
    /// The host; a hand-over is requested.
    Asked,
    /// The adapter, under this identifier.
    Delegated(u32),
    /// The adapter; a return is requested.
    AskedBack,
}

/// One end of a connection.
pub struct End {
    pub mode: Mode,
    pub state: ConnectionState,
    pub host_id: u32,
    /// Bytes to send, as in host memory.
    pub outgoing: Vec<u8>,
    /// Bytes received.
    pub incoming: Vec<u8>,
    /// Bytes that the host's TCP has received out of order, by offset into `incoming`.
    out_of_order: BTreeMap<usize, Vec<u8>>,
    /// Initial sequence numbers of both streams.
    start: u32,
    remote_start: u32,
    /// Bytes submitted in this delegation, as an offset into `outgoing`.
    submitted: usize,
    /// Right edge of the window that was last passed to the adapter.
    edge: u32,
    pub returns: u32,
    pub busy: u32,
    /// Legacy frames that have not been uploaded yet.
    legacy: u16,
    /// Host and adapter agree on what has been received.
    in_step: bool,
    /// The host's TCP drops every legacy frame for which this is true.
    pub drops: fn(frame: u64) -> bool,
    /// Legacy frames of the delegated connection.
    pub legacy_frames: u64,
    /// Resumptions that the host denied.
    pub refused: u64,
    /// Time from a resumption to its answer, in microseconds.
    pub late: u64,
    /// Answers and when they are submitted.
    answers: VecDeque<(u64, submission::Resync)>,
    /// Largest fragment of a submission.
    pub frag: u32,
    pub reasons: Vec<u8>,
    /// When the host's TCP last retransmitted.
    resent: u64,
}

/// The two ends of a connection in state ESTABLISHED, before any payload.
pub fn pair(v6: bool, vlan: bool, streams: [Vec<u8>; 2], frag: u32) -> [End; 2] {
    let mut flags = connection::flag::TIMESTAMPS
        | connection::flag::SACK
        | connection::flag::WINDOW_SCALE
        | connection::flag::NODELAY;
    if v6 {
        flags |= connection::flag::IPV6;
    }
    if vlan {
        flags |= connection::flag::VLAN;
    }
    let address = |n: u8| {
        let mut address = [0; 16];
        if v6 {
            address = [0x20; 16];
            address[15] = n;
        } else {
            address[..4].copy_from_slice(&[192, 0, 2, n]);
        }
        address
    };
    let start = [0xffff_8000u32, 0x7fff_0000];
    let mut n = 0;
    streams.map(|outgoing| {
        let (me, other) = (n, 1 - n);
        n += 1;
        End {
            mode: Mode::Host,
            state: ConnectionState {
                local_address: address(1 + me as u8),
                remote_address: address(1 + other as u8),
                local_port: 1000 + me as u16,
                remote_port: 1000 + other as u16,
                flags,
                vlan_tci: if vlan { 77 } else { 0 },
                local_mac: [2, 0, 0, 0, 0, 1 + me as u8],
                remote_mac: [2, 0, 0, 0, 0, 1 + other as u8],
                ttl: 64,
                snd_wscale: 7,
                rcv_wscale: 7,
                mss: 1428 - if v6 { 20 } else { 0 },
                rcv_mss: 1460,
                send: SendState {
                    snd_una: start[me],
                    snd_nxt: start[me],
                    snd_wnd: WINDOW,
                    srtt_us: 0,
                    min_rtt_us: u32::MAX,
                    rto_us: 200_000,
                    cwnd: 10,
                    ssthresh: u32::MAX,
                    ..SendState::default()
                },
                snd_wl1: start[other],
                max_window: WINDOW,
                rcv_nxt: start[other],
                rcv_edge: start[other].wrapping_add(WINDOW),
                tsval: 1000,
                ts_tick_us: 1000,
                ts_recent: 1000,
                reordering: 3,
                ..ConnectionState::default()
            },
            host_id: 0x1000 + me as u32,
            outgoing,
            incoming: Vec::new(),
            out_of_order: BTreeMap::new(),
            start: start[me],
            remote_start: start[other],
            submitted: 0,
            edge: 0,
            returns: 0,
            busy: 0,
            legacy: 0,
            in_step: true,
            drops: |_| false,
            legacy_frames: 0,
            refused: 0,
            late: 0,
            answers: VecDeque::new(),
            frag,
            reasons: Vec::new(),
            resent: 0,
        }
    })
}

impl End {
    /// Writes the stream to host memory.
    pub fn place(&self, node: &mut Node) {
        use toe_engine::env::Host;
        node.env.write(STREAM, &self.outgoing).unwrap();
    }

    fn rcv_nxt(&self) -> u32 {
        self.remote_start.wrapping_add(self.incoming.len() as u32)
    }

    /// Whether the whole stream has been acknowledged.
    pub fn all_acknowledged(&self) -> bool {
        self.state.send.snd_una == self.start.wrapping_add(self.outgoing.len() as u32)
    }

    /// Handles the retransmission timer of the host's TCP.
    pub fn retransmit(&mut self, node: &mut Node, now: u64) {
        let flight = self
            .state
            .send
            .snd_nxt
            .wrapping_sub(self.state.send.snd_una);
        if self.mode != Mode::Host || flight == 0 || now < self.resent + 200_000 {
            return;
        }
        self.resent = now;
        let from = self.state.send.snd_una.wrapping_sub(self.start) as usize;
        let length = flight.min(u32::from(self.state.mss)) as usize;
        let repr = self.repr(Seq(self.state.send.snd_una));
        let frame = frame(&self.state, &repr, &self.outgoing[from..from + length]);
        node.driver.transmit_bytes(&mut node.env, &frame, 2);
        node.poll(node.now);
    }

    /// Requests the hand-over.
    pub fn hand_over(&mut self, node: &mut Node) {
        assert_eq!(self.mode, Mode::Host);
        self.state.rcv_nxt = self.rcv_nxt();
        self.edge = self.rcv_nxt().wrapping_add(WINDOW);
        self.state.rcv_edge = self.edge;
        let hole = !self.out_of_order.is_empty();
        self.state.set(connection::flag::OUT_OF_ORDER, hole);
        self.in_step = true;
        node.driver
            .delegate(&mut node.env, self.host_id, &self.state);
        self.mode = Mode::Asked;
    }

    /// Hands the connection over. The first request for an unknown flow is refused, so it is repeated.
    pub fn delegate(&mut self, node: &mut Node) {
        for _ in 0..2 {
            self.mode = Mode::Host;
            self.hand_over(node);
            node.poll(1);
            for event in node.driver.completions(&mut node.env) {
                self.take(node, event);
            }
        }
        assert!(matches!(self.mode, Mode::Delegated(_)), "{:?}", self.mode);
    }

    /// Requests the return.
    pub fn ask_back(&mut self, node: &mut Node) {
        if let Mode::Delegated(id) = self.mode {
            node.driver.ask_back(&mut node.env, id);
            self.mode = Mode::AskedBack;
        }
    }

    /// Submits at most `limit` bytes of the rest of the stream.
    pub fn submit(&mut self, node: &mut Node, limit: usize) {
        let Mode::Delegated(id) = self.mode else {
            return;
        };
        let length = (self.outgoing.len() - self.submitted).min(limit);
        if length != 0 {
            let seq = self.start.wrapping_add(self.submitted as u32);
            let address = STREAM + self.submitted as u64;
            node.driver
                .send(&mut node.env, id, seq, address, length as u32, self.frag);
            self.submitted += length;
        }
    }

    /// Takes a completion of this connection.
    pub fn take(&mut self, node: &mut Node, event: Event) {
        match event {
            Event::Delegated(answer) => {
                assert_eq!((self.mode, answer.host_id), (Mode::Asked, self.host_id));
                match HandoverStatus::from_raw(answer.status).unwrap() {
                    HandoverStatus::Ok => {
                        self.mode = Mode::Delegated(answer.device_id);
                        let una = self.state.send.snd_una.wrapping_sub(self.start);
                        self.submitted = una as usize;
                    }
                    HandoverStatus::Busy => {
                        self.busy += 1;
                        self.mode = Mode::Host;
                    }
                    status => panic!("refused: {status:?}"),
                }
            }
            Event::Deliver(deliver, bytes) => {
                assert_eq!(deliver.host_id, self.host_id);
                let next = Seq(self.rcv_nxt());
                let (seq, end) = (Seq(deliver.seq), Seq(deliver.seq) + deliver.data_length);
                let usable = seq.at_most(next) && self.out_of_order.is_empty();
                assert!(usable || !self.in_step, "delivered out of order");
                if !usable || end.at_most(next) {
                    return;
                }
                self.incoming
                    .extend_from_slice(&bytes[(next - seq) as usize..]);
                self.open_window(node);
            }
            Event::Placed(placed) => panic!("no area was bound: {placed:?}"),
            Event::Resumed(resumed) => {
                assert_eq!(resumed.host_id, self.host_id);
                self.resync(node.now, &resumed);
            }
            Event::Acked(acked) => {
                assert_eq!(acked.host_id, self.host_id);
                self.acknowledged(acked.send.snd_una);
            }
            Event::Returned(returned, state) => {
                assert_eq!(returned.host_id, self.host_id);
                // The frame that causes a return has not been held.
                let causes = u16::from(returned.reason != Reason::Host.raw());
                assert!((returned.held..=returned.held + causes).contains(&returned.frames));
                if self.in_step {
                    assert!(
                        !Seq(state.rcv_nxt).before(Seq(self.rcv_nxt())),
                        "delivery and state disagree"
                    );
                }
                assert_eq!(state.local_address, self.state.local_address);
                assert_eq!(state.remote_mac, self.state.remote_mac);
                assert_eq!(state.flags & 0xff, self.state.flags & 0xff);
                assert!(!Seq(state.send.snd_una).before(Seq(self.state.send.snd_una)));
                let end = self.start.wrapping_add(self.submitted as u32);
                assert!(
                    Seq(state.send.snd_nxt).at_most(Seq(end).max(Seq(self.state.send.snd_nxt)))
                );
                self.state = state;
                self.mode = Mode::Host;
                self.answers.clear();
                self.returns += 1;
                self.legacy = returned.frames;
                self.reasons.push(returned.reason);
            }
            Event::Frame(frame, bytes) => {
                if frame.flags & toe_abi::completion::frame_flag::LEGACY != 0 {
                    assert_eq!(frame.flow, self.host_id);
                    if self.legacy > 0 {
                        self.legacy -= 1;
                    } else {
                        assert!(matches!(self.mode, Mode::Delegated(_) | Mode::AskedBack));
                        self.legacy_frames += 1;
                        if (self.drops)(self.legacy_frames) {
                            return;
                        }
                    }
                } else {
                    assert_eq!(self.legacy, 0, "a legacy frame is missing");
                }
                self.input(node, &bytes);
            }
        }
    }

    /// Answers a resumption.
    fn resync(&mut self, now: u64, resumed: &Resumed) {
        self.in_step =
            Seq(self.rcv_nxt()).at_least(Seq(resumed.seq)) && self.out_of_order.is_empty();
        let Mode::Delegated(device_id) = self.mode else {
            return;
        };
        let answer = submission::Resync {
            op: SubmissionOp::Resync.raw(),
            flags: u8::from(self.in_step) * submission::resync_flag::IN_STEP,
            device_id,
            rcv_nxt: self.rcv_nxt(),
            round: resumed.round,
        };
        self.answers.push_back((now + self.late, answer));
    }

    /// Submits the answers that are due. Returns when the processor has to be polled for one.
    pub fn answer(&mut self, node: &mut Node, now: u64) -> Option<u64> {
        let (first, _) = *self.answers.front()?;
        while let Some((_, answer)) = self.answers.front().filter(|(at, _)| *at <= now) {
            self.refused += u64::from(answer.flags & submission::resync_flag::IN_STEP == 0);
            node.driver.submit(&mut node.env, &[answer.to_bytes()]);
            self.answers.pop_front();
        }
        Some(first.max(now))
    }

    fn acknowledged(&mut self, una: u32) {
        assert!(
            !Seq(una).before(Seq(self.state.send.snd_una)),
            "acknowledgements go back"
        );
        self.state.send.snd_una = una;
    }

    /// Moves the right edge of the window after the application has read.
    fn open_window(&mut self, node: &mut Node) {
        let Mode::Delegated(device_id) = self.mode else {
            return;
        };
        let edge = self.rcv_nxt().wrapping_add(WINDOW);
        if edge.wrapping_sub(self.edge) < WINDOW / 4 {
            return;
        }
        self.edge = edge;
        if edge & 0x1000 != 0 {
            let update = submission::Update {
                op: SubmissionOp::Update.raw(),
                valid: submission::update::RCV_EDGE,
                device_id,
                rcv_edge: edge,
                ..submission::Update::default()
            };
            node.driver.submit(&mut node.env, &[update.to_bytes()]);
        } else {
            self.send_ack(node);
        }
    }

    /// Passes a frame to the host's TCP, which stores payload and acknowledges it.
    fn input(&mut self, node: &mut Node, bytes: &[u8]) {
        let packet = Packet::parse(bytes).unwrap();
        let header = packet.tcp(bytes).expect("TCP");
        let payload = packet.payload(bytes);
        let (seq, next) = (header.seq(), Seq(self.rcv_nxt()));
        if !payload.is_empty() && (seq + payload.len() as u32).after(next) {
            let offset = seq.0.wrapping_sub(self.remote_start) as usize;
            self.out_of_order.insert(offset, payload.to_vec());
        }
        while let Some(entry) = self.out_of_order.first_entry() {
            let have = self.incoming.len();
            if *entry.key() > have {
                break;
            }
            let (offset, bytes) = entry.remove_entry();
            if offset + bytes.len() > have {
                self.incoming.extend_from_slice(&bytes[have - offset..]);
            }
        }
        let ack = header.ack();
        let carried = matches!(self.mode, Mode::Delegated(_) | Mode::AskedBack);
        if !carried
            && ack.after(Seq(self.state.send.snd_una))
            && ack.at_most(Seq(self.state.send.snd_nxt))
        {
            self.state.send.snd_una = ack.0;
        }
        if let Some(timestamps) = header.options().unwrap().timestamps {
            self.state.ts_recent = timestamps.value;
        }
        if !payload.is_empty() {
            self.send_ack(node);
        }
    }

    /// Sends a pure acknowledgement of the host's TCP through the transmit ring.
    fn send_ack(&mut self, node: &mut Node) {
        let edge = self.rcv_nxt().wrapping_add(WINDOW);
        if self.mode == Mode::Host {
            self.edge = edge;
        }
        // The adapter reports `snd_una` only.
        let seq = Seq(self.state.send.snd_nxt).max(Seq(self.state.send.snd_una));
        let repr = self.repr(seq);
        let frame = frame(&self.state, &repr, &[]);
        node.driver.transmit_bytes(&mut node.env, &frame, 1);
        // The next frame uses the same memory.
        node.poll(node.now);
    }

    /// Header of a segment that the host's TCP sends.
    pub fn repr(&self, seq: Seq) -> Repr {
        let edge = self.rcv_nxt().wrapping_add(WINDOW);
        Repr {
            source: self.state.local_port,
            destination: self.state.remote_port,
            seq,
            ack: Seq(self.rcv_nxt()),
            flags: flag::ACK,
            window: (edge.wrapping_sub(self.rcv_nxt()) >> 7) as u16,
            options: Options {
                timestamps: Some(Timestamps {
                    value: self.state.tsval,
                    echo: self.state.ts_recent,
                }),
                ..Options::default()
            },
        }
    }
}

/// A frame of the connection `state` with a complete checksum.
pub fn frame(state: &ConnectionState, repr: &Repr, payload: &[u8]) -> Vec<u8> {
    let v6 = state.flags & connection::flag::IPV6 != 0;
    let vlan = state.flags & connection::flag::VLAN != 0;
    let mut frame = Vec::new();
    frame.extend_from_slice(&state.remote_mac);
    frame.extend_from_slice(&state.local_mac);
    if vlan {
        frame.extend_from_slice(&ethernet::ethertype::VLAN.to_be_bytes());
        frame.extend_from_slice(&state.vlan_tci.to_be_bytes());
    }
    let length = repr.length() + payload.len();
    let l3 = frame.len() + 2;
    let (local, remote) = (&state.local_address, &state.remote_address);
    let mut sum;
    if v6 {
        frame.extend_from_slice(&ethernet::ethertype::IPV6.to_be_bytes());
        frame.resize(l3 + ipv6::HEADER, 0);
        ipv6::Repr {
            traffic_class: state.tos,
            flow_label: 0,
            protocol: tcp::PROTOCOL,
            hop_limit: 64,
            source: *local,
            destination: *remote,
        }
        .emit(&mut frame[l3..]);
        ipv6::finish(&mut frame[l3..], length as u16);
        sum = checksum::pseudo_header(local, remote, tcp::PROTOCOL, length as u32);
    } else {
        frame.extend_from_slice(&ethernet::ethertype::IPV4.to_be_bytes());
        frame.resize(l3 + ipv4::HEADER, 0);
        let address = |bytes: &[u8; 16]| [bytes[0], bytes[1], bytes[2], bytes[3]];
        ipv4::Repr {
            dont_fragment: true,
            tos: state.tos,
            ttl: 64,
            protocol: tcp::PROTOCOL,
            source: address(local),
            destination: address(remote),
        }
        .emit(&mut frame[l3..]);
        ipv4::finish(&mut frame[l3..], (ipv4::HEADER + length) as u16, 0);
        sum = checksum::pseudo_header(&local[..4], &remote[..4], tcp::PROTOCOL, length as u32);
    }
    let l4 = frame.len();
    frame.resize(l4 + repr.length(), 0);
    repr.emit(&mut frame[l4..]);
    frame.extend_from_slice(payload);
    sum.add(&frame[l4..]);
    let check = sum.finish().to_be_bytes();
    frame[l4 + tcp::CHECKSUM..l4 + tcp::CHECKSUM + 2].copy_from_slice(&check);
    frame
}

/// Replaces the padding of a segment's options by an option that no TCP knows.
pub fn add_unknown_option(frame: &mut WireFrame) {
    const PADDING: [u8; 2] = [1, 1];
    const UNKNOWN: [u8; 2] = [200, 2];
    let Ok(packet) = Packet::parse(&frame.bytes) else {
        return;
    };
    let complete = matches!(
        frame.offload.checksum,
        RxChecksum::Unknown | RxChecksum::Valid
    );
    let l4 = usize::from(packet.l4);
    let segment = &mut frame.bytes[l4..];
    if segment.get(tcp::HEADER..tcp::HEADER + 2) != Some(&PADDING[..]) {
        return;
    }
    let before = checksum::sum(segment);
    segment[tcp::HEADER..tcp::HEADER + 2].copy_from_slice(&UNKNOWN);
    if complete {
        let after = checksum::sum(segment);
        let field = u16::from_be_bytes([segment[tcp::CHECKSUM], segment[tcp::CHECKSUM + 1]]);
        let check = checksum::update(field, before, after).to_be_bytes();
        segment[tcp::CHECKSUM..tcp::CHECKSUM + 2].copy_from_slice(&check);
    }
}
