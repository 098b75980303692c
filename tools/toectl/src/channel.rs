// SPDX-License-Identifier: GPL-2.0

//! Generic netlink socket for the family.

use crate::attribute;
use crate::attribute::Attribute;
use crate::attribute::Message;
use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use anyhow::bail;
use netlink_packet_core::ErrorMessage;
use netlink_packet_core::NLM_F_ACK;
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_core::NLM_F_REQUEST;
use netlink_packet_core::NetlinkBuffer;
use netlink_packet_core::NetlinkDeserializable;
use netlink_packet_core::NetlinkHeader;
use netlink_packet_core::NetlinkMessage;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_core::NetlinkSerializable;
use netlink_packet_generic::GenlFamily;
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::GenlCtrl;
use netlink_packet_generic::ctrl::GenlCtrlCmd;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::nlas::McastGrpAttrs;
use netlink_sys::Socket;
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_GENERIC;
use std::io;

/// Attribute of an extended ACK that contains its message (`NLMSGERR_ATTR_MSG`).
const ERROR_TEXT: u16 = 1;

/// Size of the netlink header of the request, which an error message contains before its attributes
/// (`NETLINK_CAP_ACK`).
const HEADER: usize = 16;

/// A socket with the identifiers of the family.
pub struct Channel {
    socket: Socket,
    sequence: u32,
    family: u16,
    group: Option<u32>,
}

impl Channel {
    /// Opens a socket and resolves the family, which makes the kernel load the module if possible.
    pub fn open() -> Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC).context("cannot open a netlink socket")?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_cap_ack(true)?;
        socket.set_ext_ack(true)?;
        let mut channel = Self {
            socket,
            sequence: 0,
            family: 0,
            group: None,
        };
        channel.resolve()?;
        Ok(channel)
    }

    /// Queries the controller for the identifiers of the family.
    fn resolve(&mut self) -> Result<()> {
        let question = GenlMessage::from_payload(GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(Message::family_name().into())],
        });
        let answers = self.exchange(question, NLM_F_ACK).map_err(|error| {
            match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::NotFound) => {
                    anyhow!("the kernel has no family 'toe': load the module (modprobe toe)")
                }
                _ => error,
            }
        })?;
        for attribute in answers.into_iter().flat_map(|answer| answer.payload.nlas) {
            match attribute {
                GenlCtrlAttrs::FamilyId(id) => self.family = id,
                // The family has a single group.
                GenlCtrlAttrs::McastGroups(groups) => {
                    for attribute in groups.into_iter().flatten() {
                        if let McastGrpAttrs::Id(id) = attribute {
                            self.group = Some(id);
                        }
                    }
                }
                _ => (),
            }
        }
        Ok(())
    }

    /// Sends a request and waits for its ACK.
    ///
    /// # Errors
    ///
    /// The kernel's error as an [`io::Error`], with its extended ACK message as context.
    pub fn request(&mut self, command: u16, attributes: Vec<Attribute>) -> Result<()> {
        self.ask(command, attributes, NLM_F_ACK).map(drop)
    }

    /// Sends a dump request and collects all messages.
    pub fn dump(&mut self, command: u16, attributes: Vec<Attribute>) -> Result<Vec<Message>> {
        self.ask(command, attributes, NLM_F_DUMP)
    }

    /// Sends a request and collects its answer.
    pub fn get(&mut self, command: u16, attributes: Vec<Attribute>) -> Result<Vec<Message>> {
        self.ask(command, attributes, NLM_F_ACK)
    }

    fn ask(
        &mut self,
        command: u16,
        attributes: Vec<Attribute>,
        flags: u16,
    ) -> Result<Vec<Message>> {
        let mut question = GenlMessage::from_payload(Message {
            command: command as u8,
            attributes,
        });
        question.set_resolved_family_id(self.family);
        let answers = self.exchange(question, flags)?;
        Ok(answers.into_iter().map(|answer| answer.payload).collect())
    }

    /// Subscribes to the family's notifications, received by [`Self::notifications`].
    pub fn subscribe(&mut self) -> Result<()> {
        let group = self.group.context("the family has no notifications")?;
        Ok(self.socket.add_membership(group)?)
    }

    /// Waits for at least one notification. Returns `None` if the kernel has dropped some because
    /// this program was too slow.
    pub fn notifications(&mut self) -> Result<Option<Vec<Message>>> {
        let bytes = match self.socket.recv_from_full() {
            Ok((bytes, _)) => bytes,
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut messages = Vec::new();
        for message in parse::<GenlMessage<Message>>(&bytes)? {
            if let (_, NetlinkPayload::InnerMessage(message)) = message.into_parts() {
                messages.push(message.payload);
            }
        }
        Ok(Some(messages))
    }

    /// Sends a request and reads answers up to the ACK or the end of the dump.
    fn exchange<F>(&mut self, question: GenlMessage<F>, flags: u16) -> Result<Vec<GenlMessage<F>>>
    where
        GenlMessage<F>: NetlinkSerializable + NetlinkDeserializable,
    {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;

        let mut answers = Vec::new();
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            for message in parse::<GenlMessage<F>>(&bytes)? {
                let (header, payload) = message.into_parts();
                if header.sequence_number != self.sequence {
                    continue;
                }
                match payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Done(done) if done.code == 0 => return Ok(answers),
                    NetlinkPayload::Done(done) => {
                        return Err(refusal(done.code, &done.extended_ack));
                    }
                    NetlinkPayload::Error(ErrorMessage { code: None, .. }) => return Ok(answers),
                    NetlinkPayload::Error(error) => {
                        let text = error.header.get(HEADER..).unwrap_or_default();
                        return Err(refusal(error.raw_code(), text));
                    }
                    NetlinkPayload::Overrun(_) => bail!("netlink overrun: retry the command"),
                    _ => (),
                }
            }
        }
    }
}

/// Splits a datagram into messages.
fn parse<T: NetlinkDeserializable>(bytes: &[u8]) -> Result<Vec<NetlinkMessage<T>>> {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = NetlinkBuffer::new_checked(rest)?.length() as usize;
        messages.push(NetlinkMessage::deserialize(&rest[..length])?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(messages)
}

/// Error from a negative `code` and the attributes of an extended ACK.
fn refusal(code: i32, attributes: &[u8]) -> anyhow::Error {
    let error = io::Error::from_raw_os_error(-code);
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => Some("CAP_NET_ADMIN required".to_string()),
        _ => None,
    };
    let text = attribute::parse(attributes)
        .unwrap_or_default()
        .into_iter()
        .find(|attribute| attribute.kind == ERROR_TEXT)
        .map(|attribute| attribute.as_string());
    match text.or(hint) {
        Some(text) => anyhow::Error::from(error).context(text),
        None => error.into(),
    }
}
