// SPDX-License-Identifier: GPL-2.0

//! Processors that are being reset.

use toe_engine::processor::Config;
use toe_engine::processor::Processor;

/// A processor that is out of its slot.
pub struct Parked {
    processor: Option<Box<Processor>>,
    config: Config,
}

impl Parked {
    /// Takes `processor`, which was made for `config`. `None` if it was lost.
    pub fn new(processor: Option<Box<Processor>>, config: &Config) -> Self {
        Self {
            processor,
            config: *config,
        }
    }

    /// Number of the processor.
    pub fn index(&self) -> usize {
        self.config.index.into()
    }

    /// The processor in the state after a reset. Takes long if it has many connections, or must be
    /// made anew, so this is nothing for a worker.
    pub fn cleared(self) -> Box<Processor> {
        match self.processor {
            Some(mut processor) => {
                processor.reset();
                processor
            }
            None => Box::new(Processor::new(&self.config)),
        }
    }
}

/// A processor without connections, flows and pages, which stands in for one of `config`.
pub fn stand_in(config: &Config) -> Box<Processor> {
    Box::new(Processor::new(&Config {
        connections: 1,
        fragments: 1,
        pages: 1,
        flows: 1,
        hold: 0,
        ..*config
    }))
}
