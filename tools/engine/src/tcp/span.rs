// SPDX-License-Identifier: GPL-2.0

//! Spans of the scoreboard: adjacent bytes in the same state.

use super::segment::Range;
use super::seq::Seq;
use super::time::Instant;

/// Minimum grain of a [`Stamp`], in microseconds. The bits below hold the state of a span.
pub const GRAIN_MIN: u32 = 8;

/// Send time: microseconds modulo 2^32, rounded down to a grain. Two stamps compare correctly if
/// less than 35 minutes apart.
///
/// Grains are at fixed times. If a span instead were extended whenever a segment follows closely,
/// it would grow for as long as segments are sent, and its single time would be wrong by a whole
/// window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(u32);

impl Stamp {
    /// Bits of a span's word that hold its state.
    const STATE: u32 = GRAIN_MIN - 1;

    /// Stamp of `now`. `grain` is a power of two in microseconds.
    #[inline]
    pub fn new(now: Instant, grain: u32) -> Self {
        Self(now.0 as u32 & !(grain.max(GRAIN_MIN) - 1))
    }

    /// Microseconds from this stamp to `now`, 0 if it is in the future.
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

/// State of a byte that has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Sent once, in flight.
    Sent,
    /// Retransmitted, in flight.
    Resent,
    /// Sent once and marked lost: to be retransmitted.
    Lost,
    /// Retransmitted and marked lost again.
    LostAgain,
    /// SACKed (RFC 2018).
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

    /// Whether bytes in this state are to be retransmitted.
    #[inline]
    pub fn is_lost(self) -> bool {
        matches!(self, Self::Lost | Self::LostAgain)
    }

    /// Whether bytes in this state were sent only once, so that an ACK is unambiguous.
    #[inline]
    pub fn is_original(self) -> bool {
        matches!(self, Self::Sent | Self::Lost)
    }

    /// State after being marked lost.
    #[inline]
    pub fn lost(self) -> Self {
        match self {
            Self::Sent => Self::Lost,
            Self::Resent => Self::LostAgain,
            other => other,
        }
    }

    /// State after a loss mark is removed.
    #[inline]
    pub fn restored(self) -> Self {
        match self {
            Self::Lost => Self::Sent,
            Self::LostAgain => Self::Resent,
            other => other,
        }
    }

    /// Whether bytes in this state count as in flight.
    #[inline]
    pub fn in_flight(self) -> bool {
        matches!(self, Self::Sent | Self::Resent)
    }
}

/// Start of a span, as stored. The span ends where the next one starts.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanStart {
    /// First byte.
    pub start: Seq,
    /// [`Stamp`] and [`State`] in one word.
    word: u32,
}

impl SpanStart {
    /// Creates the start of a span.
    #[inline]
    pub fn new(start: Seq, stamp: Stamp, state: State) -> Self {
        Self {
            start,
            word: stamp.0 | state as u32,
        }
    }

    /// State of the bytes.
    #[inline]
    pub fn state(self) -> State {
        State::from_bits(self.word)
    }

    /// Time of the last transmission.
    #[inline]
    pub fn stamp(self) -> Stamp {
        Stamp(self.word & !Stamp::STATE)
    }

    /// Whether this span can be merged with a neighbour. The send time of SACKed bytes is no longer
    /// used.
    #[inline]
    pub fn joins(self, other: Self) -> bool {
        self.word == other.word || (self.state() == State::Sacked && other.state() == State::Sacked)
    }
}

/// A span, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Sequence range.
    pub range: Range,
    /// State of the bytes.
    pub state: State,
    /// Time of the last transmission. Undefined for `Sacked`.
    pub stamp: Stamp,
}
