// SPDX-License-Identifier: GPL-2.0

//! Admin commands.

use toe_abi::Layout;
use toe_abi::admin;
use toe_abi::admin::CommandStatus;
use toe_abi::admin::Opcode;
use toe_abi::feature;
use toe_abi::rss;
use toe_abi::rules::Action;
use toe_abi::rules::ActionKind;
use toe_abi::rules::Pattern;
use toe_abi::rules::Rule;
use toe_engine::processor::Rings;

use crate::impairment::Profile;
use crate::impairment::WireClock;
use crate::port::impaired::Impairment;
use crate::setting::Setting;
use crate::worker::Control;

use super::Admin;
use super::Answer;

impl Admin {
    fn answer(&self) -> Answer {
        Answer {
            to: self.to_self.clone(),
            epoch: self.epoch,
        }
    }

    /// Applies `setting` on every processor. Returns the number of answers to expect.
    fn configure_all(&self, setting: &Setting) -> usize {
        for worker in &self.workers {
            worker.send(Control::Configure {
                function: self.function,
                setting: setting.clone(),
                answer: self.answer(),
            });
        }
        self.workers.len()
    }

    /// Executes a command. Returns the number of worker answers that complete it.
    pub(super) fn execute(
        &self,
        opcode: Opcode,
        command: &[u8; admin::COMMAND_SIZE],
        features: u64,
    ) -> Result<usize, CommandStatus> {
        let worker = |number: u8| {
            self.workers
                .get(usize::from(number))
                .ok_or(CommandStatus::Invalid)
        };
        let function = self.function;
        match opcode {
            Opcode::StartProcessor => {
                let command = admin::StartProcessor::from_bytes(command);
                worker(command.processor)?.send(Control::Start {
                    function,
                    rings: Rings {
                        log2_entries: command.log2_entries,
                        addresses: command.rings,
                        status: command.status,
                        features,
                    },
                    vector: command.vector.into(),
                    answer: self.answer(),
                });
                Ok(1)
            }
            Opcode::StopProcessor => {
                let command = admin::StopProcessor::from_bytes(command);
                worker(command.processor)?.send(Control::Stop {
                    function,
                    answer: self.answer(),
                });
                Ok(1)
            }
            Opcode::SetRss => {
                if features & feature::RSS == 0 {
                    return Err(CommandStatus::Unsupported);
                }
                let command = admin::SetRss::from_bytes(command);
                if command.context != 0 && features & feature::RULES == 0 {
                    return Err(CommandStatus::Unsupported);
                }
                let setting = self.rss(&command)?;
                Ok(self.configure_all(&setting))
            }
            Opcode::RemoveContext | Opcode::SetRule if features & feature::RULES == 0 => {
                Err(CommandStatus::Unsupported)
            }
            Opcode::RemoveContext => {
                let command = admin::RemoveContext::from_bytes(command);
                Ok(self.configure_all(&Setting::RemoveContext(command.context)))
            }
            Opcode::SetRule => {
                let setting = self.rule(&admin::SetRule::from_bytes(command))?;
                Ok(self.configure_all(&setting))
            }
            Opcode::SetFilter => {
                let setting = self.filter(&admin::SetFilter::from_bytes(command))?;
                Ok(self.configure_all(&setting))
            }
            Opcode::SetMtu => {
                let command = admin::SetMtu::from_bytes(command);
                Ok(self.configure_all(&Setting::Mtu(command.mtu)))
            }
            Opcode::SetCoalesce => {
                let command = admin::SetCoalesce::from_bytes(command);
                worker(command.processor)?.send(Control::Configure {
                    function,
                    setting: Setting::Coalesce {
                        usecs: command.usecs,
                        completions: command.completions,
                    },
                    answer: self.answer(),
                });
                Ok(1)
            }
            Opcode::SetStorage => {
                let command = admin::SetStorage::from_bytes(command);
                if command.flags & admin::storage::GRO != 0 && features & feature::GRO == 0 {
                    return Err(CommandStatus::Unsupported);
                }
                Ok(self.configure_all(&Setting::Storage {
                    flags: command.flags,
                    small_frame: command.small_frame,
                }))
            }
            Opcode::SetImpairment => {
                if features & feature::IMPAIR == 0 {
                    return Err(CommandStatus::Unsupported);
                }
                let command = admin::SetImpairment::from_bytes(command);
                let profile = Profile::new(&command).ok_or(CommandStatus::Invalid)?;
                let clock = |bit| (command.directions & bit != 0).then(WireClock::default);
                Ok(self.configure_all(&Setting::Impairment(Impairment {
                    profile,
                    egress: clock(admin::direction::EGRESS),
                    ingress: clock(admin::direction::INGRESS),
                })))
            }
        }
    }

    /// Reads an operand of `N` bytes.
    fn operand<const N: usize>(&self, address: u64) -> Result<[u8; N], CommandStatus> {
        let mut bytes = [0; N];
        let read = self.host.memory.read(address, &mut bytes);
        read.map(|()| bytes).map_err(|_| CommandStatus::Fault)
    }

    fn rss(&self, command: &admin::SetRss) -> Result<Setting, CommandStatus> {
        Ok(Setting::Rss {
            context: command.context,
            config: rss::Config::from_bytes(&self.operand(command.config)?),
            fields: command.fields,
        })
    }

    fn rule(&self, command: &admin::SetRule) -> Result<Setting, CommandStatus> {
        let kind = ActionKind::from_raw(command.action).ok_or(CommandStatus::Invalid)?;
        if kind == ActionKind::Remove {
            return Ok(Setting::RemoveRule(command.location));
        }
        let action = Action::new(kind, command.target).ok_or(CommandStatus::Invalid)?;
        let pattern = Pattern::from_bytes(&self.operand(command.pattern)?);
        let rule = Rule::new(command.location, action, &pattern);
        Ok(Setting::Rule(rule.tagged(command.tag)))
    }

    fn filter(&self, command: &admin::SetFilter) -> Result<Setting, CommandStatus> {
        const ENTRY: usize = 8;
        if command.count as usize > admin::MAX_MULTICAST {
            return Err(CommandStatus::Invalid);
        }
        let mut entries = vec![0; command.count as usize * ENTRY];
        self.host
            .memory
            .read(command.addresses, &mut entries)
            .map_err(|_| CommandStatus::Fault)?;
        let multicast = entries
            .chunks_exact(ENTRY)
            .map(|entry| std::array::from_fn(|i| entry[i]))
            .collect();
        Ok(Setting::Filter {
            mac: command.mac,
            flags: command.flags,
            multicast,
        })
    }
}
