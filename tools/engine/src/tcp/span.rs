// SPDX-License-Identifier: GPL-2.0

//! A run: neighbouring bytes on the scoreboard of which the same is known.

use super::segment::Range;
use super::seq::Seq;
use super::time::Instant;

/// Finest grain of a [`Stamp`] in microseconds: its bits below hold the state of a run.
pub const GRAIN_MIN: u32 = 8;

/// When something was sent: microseconds modulo 2^32, rounded down to the grain that it was noted
/// with. Two stamps compare right when they are less than 35 minutes apart.
///
/// The grain is absolute. A run that grew as long as something follows closely would grow for as
/// long as segments leave, and its one time would be wrong by a whole window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(u32);

impl Stamp {
    /// Bits of a run's word that hold its state.
    const STATE: u32 = GRAIN_MIN - 1;

    /// The stamp of `now`; `grain` is a power of two, of microseconds.
    #[inline]
    pub fn new(now: Instant, grain: u32) -> Self {
        Self(now.0 as u32 & !(grain.max(GRAIN_MIN) - 1))
    }

    /// Microseconds from this stamp to `now`; 0 when it is in the future.
    #[inline]
    pub fn elapsed(self, now: Instant) -> u32 {
        ((now.0 as u32).wrapping_sub(self.0) as i32).max(0) as u32
    }

    /// Whether this stamp is later than `other`.
    #[inline]
    pub fn after(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) > 0
    }
}

/// What is known of a byte that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sent once; in flight.
    Sent,
    /// Sent again; in flight.
    Resent,
    /// Sent once, and taken for lost; to be sent again.
    Lost,
    /// Sent again, and that too taken for lost.
    LostAgain,
    /// The peer has it, out of order (RFC 2018).
    Sacked,
}

impl State {
    #[inline]
    fn from_bits(bits: u32) -> Self {
        match bits & Stamp::STATE {
            0 => Self::Sent,
            1 => Self::Resent,
            2 => Self::Lost,
            3 => Self::LostAgain,
            _ => Self::Sacked,
        }
    }

    /// Whether bytes of this state are to be sent again.
    #[inline]
    pub fn is_lost(self) -> bool {
        matches!(self, Self::Lost | Self::LostAgain)
    }

    /// Whether bytes of this state have been sent once only, so that it is known what an
    /// acknowledgement answers.
    #[inline]
    pub fn is_original(self) -> bool {
        matches!(self, Self::Sent | Self::Lost)
    }

    /// What bytes of this state are when they are taken for lost.
    #[inline]
    pub fn lost(self) -> Self {
        match self {
            Self::Sent => Self::Lost,
            Self::Resent => Self::LostAgain,
            other => other,
        }
    }

    /// What bytes of this state are when they turn out not to be lost.
    #[inline]
    pub fn restored(self) -> Self {
        match self {
            Self::Lost => Self::Sent,
            Self::LostAgain => Self::Resent,
            other => other,
        }
    }

    /// Whether bytes of this state count as on their way to the peer.
    #[inline]
    pub fn in_flight(self) -> bool {
        matches!(self, Self::Sent | Self::Resent)
    }
}

/// A run as stored: it ends where the next one starts.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanStart {
    /// First byte.
    pub start: Seq,
    /// [`Stamp`] and [`State`] in one.
    word: u32,
}

impl SpanStart {
    /// The run that starts at `start`.
    #[inline]
    pub fn new(start: Seq, stamp: Stamp, state: State) -> Self {
        Self {
            start,
            word: stamp.0 | state as u32,
        }
    }

    /// What is known of its bytes.
    #[inline]
    pub fn state(self) -> State {
        State::from_bits(self.word)
    }

    /// When it was sent last.
    #[inline]
    pub fn stamp(self) -> Stamp {
        Stamp(self.word & !Stamp::STATE)
    }

    /// Whether this run and a neighbour can be one: the time of what has arrived does not matter any
    /// more.
    #[inline]
    pub fn joins(self, other: Self) -> bool {
        self.word == other.word || (self.state() == State::Sacked && other.state() == State::Sacked)
    }
}

/// A run, or a part of one, as reported to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it is.
    pub range: Range,
    /// What is known of it.
    pub state: State,
    /// When it was sent last; means nothing for `Sacked`.
    pub stamp: Stamp,
}
