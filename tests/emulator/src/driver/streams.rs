//! Streams and events: which work is ordered, and what is being captured.
//!
//! Work is done when it is submitted, so it always runs in the order of the calls. Clocks track the order that the
//! program asked for: each stream counts its work, and knows how much of every other's work came before its own
//! (Mattern, "Virtual time and global states of distributed systems", 1989). If two streams touch the same memory and
//! one writes it, their order must be known.

use super::code::Code;
use super::work::{Node, Work};
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// The stream that every other waits for, and that waits for every other.
pub(super) const LEGACY: u64 = 0;

/// How much of each stream's work came before.
#[derive(Clone, Debug, Default)]
struct Clock(BTreeMap<u64, u64>);

impl Clock {
    fn join(&mut self, other: &Clock) {
        for (&stream, &time) in &other.0 {
            let mine = self.0.entry(stream).or_default();
            *mine = (*mine).max(time);
        }
    }

    fn knows(&self, (stream, time): (u64, u64)) -> bool {
        self.0.get(&stream).is_some_and(|&known| known >= time)
    }
}

#[derive(Debug, Default)]
struct Stream {
    /// Whether it is ordered with the legacy stream.
    is_blocking: bool,
    clock: Clock,
    /// The capture that it belongs to.
    capture: Option<u64>,
    /// How much was captured here, and whether nobody has waited for the last of it.
    captured: u64,
    is_unjoined: bool,
    /// The captured work that comes before the next work here, by number.
    frontier: Vec<usize>,
}

/// Recorded work.
#[derive(Debug)]
struct Capture {
    origin: u64,
    nodes: Vec<Node>,
    is_invalid: bool,
    /// Whether no memory may be allocated meanwhile, on any stream.
    is_global: bool,
}

/// The work before an event.
#[derive(Debug, Default)]
struct Event {
    clock: Clock,
    at: Option<Instant>,
    /// The capture, the stream, and how much had been captured there.
    captured: Option<(u64, u64, u64)>,
    /// The captured work that came before.
    frontier: Vec<usize>,
}

/// Who touched an allocation last.
#[derive(Debug, Default)]
struct Uses {
    write: Option<(u64, u64)>,
    reads: Vec<(u64, u64)>,
}

/// All streams and events.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: HashMap<u64, Stream>,
    events: HashMap<u64, Event>,
    captures: HashMap<u64, Capture>,
    uses: HashMap<u64, Uses>,
    /// The last copy that uses pinned memory, by the start of that memory.
    pinned: HashMap<usize, (u64, u64)>,
    /// The work that the host has waited for.
    host: Clock,
}

impl Streams {
    /// Only the legacy stream.
    pub(super) fn new() -> Streams {
        let mut streams = Streams::default();
        streams.streams.insert(LEGACY, Stream { is_blocking: true, ..Stream::default() });
        streams
    }

    pub(super) fn create(&mut self, handle: u64, is_blocking: bool) {
        self.streams.insert(handle, Stream { is_blocking, ..Stream::default() });
    }

    pub(super) fn destroy(&mut self, handle: u64) -> Result<(), Code> {
        self.stream(handle)?;
        if handle == LEGACY {
            return Err(Code::INVALID_HANDLE);
        }
        self.streams.remove(&handle);
        Ok(())
    }

    fn stream(&self, handle: u64) -> Result<&Stream, Code> {
        self.streams.get(&handle).ok_or(Code::INVALID_HANDLE)
    }

    fn stream_mut(&mut self, handle: u64) -> Result<&mut Stream, Code> {
        self.streams.get_mut(&handle).ok_or(Code::INVALID_HANDLE)
    }

    /// Records work if the stream is captured; otherwise returns it, to be done now in its order.
    pub(super) fn submit(&mut self, handle: u64, work: Work) -> Result<Option<Work>, Code> {
        if let Some(id) = self.stream(handle)?.capture {
            let stream = self.stream_mut(handle)?;
            stream.captured += 1;
            stream.is_unjoined = true;
            let after = std::mem::take(&mut stream.frontier);
            let nodes = &mut self.capture(id)?.nodes;
            nodes.push(Node { work, after });
            let last = nodes.len() - 1;
            self.stream_mut(handle)?.frontier = vec![last];
            return Ok(None);
        }
        self.advance(handle)?;
        Ok(Some(work))
    }

    /// The work before the next work of a stream: the legacy stream and blocking streams wait for each other.
    fn before(&self, handle: u64) -> Result<Clock, Code> {
        let stream = self.stream(handle)?;
        let mut before = stream.clock.clone();
        if handle == LEGACY {
            self.streams.values().filter(|other| other.is_blocking).for_each(|other| before.join(&other.clock));
        } else if stream.is_blocking {
            before.join(&self.stream(LEGACY)?.clock);
        }
        Ok(before)
    }

    /// Counts work of a stream.
    pub(super) fn advance(&mut self, handle: u64) -> Result<(), Code> {
        let mut before = self.before(handle)?;
        before.join(&self.host);
        let stream = self.stream_mut(handle)?;
        stream.clock.join(&before);
        *stream.clock.0.entry(handle).or_default() += 1;
        Ok(())
    }

    /// Notes what the last work of a stream touched. An error names the stream that it should have waited for.
    pub(super) fn touch(&mut self, handle: u64, touched: &[(u64, bool)]) -> Result<(), String> {
        let Some(stream) = self.streams.get(&handle) else { return Ok(()) };
        let now = (handle, stream.clock.0.get(&handle).copied().unwrap_or_default());
        for &(base, writes) in touched {
            let uses = self.uses.entry(base).or_default();
            let reads = uses.reads.iter().filter(|_| writes);
            if let Some((other, _)) = uses.write.iter().chain(reads).find(|&&use_| !stream.clock.knows(use_)) {
                return Err(format!(
                    "stream {handle:#x} {} memory at {base:#x} that stream {other:#x} {}, and has not waited for it",
                    if writes { "writes" } else { "reads" },
                    if uses.write.is_some_and(|(writer, _)| writer == *other) { "writes" } else { "reads" },
                ));
            }
            if writes {
                *uses = Uses { write: Some(now), reads: vec![] };
            } else {
                uses.reads.retain(|(stream, _)| *stream != handle);
                uses.reads.push(now);
            }
        }
        Ok(())
    }

    /// Free memory has no uses.
    pub(super) fn forget(&mut self, base: u64) {
        self.uses.remove(&base);
    }

    /// Notes that the last work of a stream copies from or to pinned memory. The host has written what is sent.
    pub(super) fn touch_pinned(&mut self, handle: u64, base: usize, is_sent: bool) -> Result<(), String> {
        let Some(stream) = self.streams.get(&handle) else { return Ok(()) };
        let now = (handle, stream.clock.0.get(&handle).copied().unwrap_or_default());
        match self.pinned.insert(base, now) {
            Some(before) if is_sent && !self.host.knows(before) => Err(format!(
                "memory of the host at {base:#x} is sent again, and nobody has waited for the copy of stream {:#x}",
                before.0
            )),
            _ => Ok(()),
        }
    }

    /// The host waits for a stream. Waiting for a captured stream invalidates the capture.
    pub(super) fn synchronize(&mut self, handle: u64) -> Result<(), Code> {
        self.refuse_capture(handle)?;
        let before = self.before(handle)?;
        self.host.join(&before);
        Ok(())
    }

    /// The host waits for everything.
    pub(super) fn synchronize_all(&mut self) -> Result<(), Code> {
        self.refuse_captures(|_| true)?;
        for stream in self.streams.values() {
            self.host.join(&stream.clock);
        }
        Ok(())
    }

    /// Memory is about to be allocated.
    pub(super) fn refuse_global_captures(&mut self) -> Result<(), Code> {
        self.refuse_captures(|capture| capture.is_global)
    }

    /// Invalidates captures of a kind, because they do not allow the next operation.
    fn refuse_captures(&mut self, is_spoiled: impl Fn(&Capture) -> bool) -> Result<(), Code> {
        let mut result = Ok(());
        for capture in self.captures.values_mut().filter(|capture| is_spoiled(capture)) {
            capture.is_invalid = true;
            result = Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        result
    }

    fn refuse_capture(&mut self, handle: u64) -> Result<(), Code> {
        match self.stream(handle)?.capture {
            Some(id) => {
                self.capture(id)?.is_invalid = true;
                Err(Code::STREAM_CAPTURE_UNSUPPORTED)
            }
            None => Ok(()),
        }
    }

    /// Whether a stream is captured, and whether the capture has become invalid.
    pub(super) fn capture_status(&self, handle: u64) -> Result<Option<bool>, Code> {
        Ok(self.stream(handle)?.capture.and_then(|id| self.captures.get(&id)).map(|capture| capture.is_invalid))
    }

    pub(super) fn create_event(&mut self, handle: u64) {
        self.events.insert(handle, Event::default());
    }

    pub(super) fn destroy_event(&mut self, handle: u64) -> Result<(), Code> {
        self.events.remove(&handle).map(|_| ()).ok_or(Code::INVALID_HANDLE)
    }

    /// An event stands for all work of a stream so far.
    pub(super) fn record(&mut self, event: u64, handle: u64) -> Result<(), Code> {
        let stream = self.stream(handle)?;
        let captured = stream.capture.map(|id| (id, handle, stream.captured));
        let (clock, frontier) = (stream.clock.clone(), stream.frontier.clone());
        let event = self.events.get_mut(&event).ok_or(Code::INVALID_HANDLE)?;
        *event = Event { clock, at: Some(Instant::now()), captured, frontier };
        Ok(())
    }

    /// A stream waits for an event, and is captured with it.
    pub(super) fn wait(&mut self, handle: u64, event: u64) -> Result<(), Code> {
        let event = self.events.get(&event).ok_or(Code::INVALID_HANDLE)?;
        let (clock, captured, frontier) = (event.clock.clone(), event.captured, event.frontier.clone());
        let Some((id, from, count)) = captured else {
            self.refuse_capture(handle)?;
            self.stream_mut(handle)?.clock.join(&clock);
            return Ok(());
        };
        if self.stream(handle)?.capture.is_some_and(|other| other != id) || !self.captures.contains_key(&id) {
            return Err(Code::STREAM_CAPTURE_UNMATCHED);
        }
        let stream = self.stream_mut(handle)?;
        if stream.capture.replace(id).is_none() {
            (stream.captured, stream.is_unjoined, stream.frontier) = (0, true, vec![]);
        }
        let others = frontier.into_iter().filter(|node| !stream.frontier.contains(node));
        let others: Vec<usize> = others.collect();
        stream.frontier.extend(others);
        if let Some(stream) = self.streams.get_mut(&from).filter(|stream| stream.captured == count && from != handle) {
            stream.is_unjoined = false;
        }
        Ok(())
    }

    /// The host waits for an event.
    pub(super) fn synchronize_event(&mut self, event: u64) -> Result<(), Code> {
        let event = self.events.get(&event).ok_or(Code::INVALID_HANDLE)?;
        if event.captured.is_some_and(|(id, ..)| self.captures.contains_key(&id)) {
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        self.host.join(&event.clock);
        Ok(())
    }

    /// Milliseconds between two events that were recorded.
    pub(super) fn elapsed(&self, start: u64, end: u64) -> Result<f32, Code> {
        let at = |event: u64| self.events.get(&event).and_then(|event| event.at).ok_or(Code::INVALID_HANDLE);
        Ok(at(end)?.saturating_duration_since(at(start)?).as_secs_f32() * 1e3)
    }

    /// Starts recording the work of a stream.
    pub(super) fn begin_capture(&mut self, id: u64, handle: u64, is_global: bool) -> Result<(), Code> {
        if handle == LEGACY || self.stream(handle)?.capture.is_some() {
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        let stream = self.stream_mut(handle)?;
        (stream.capture, stream.captured, stream.frontier) = (Some(id), 0, vec![]);
        self.captures.insert(id, Capture { origin: handle, nodes: vec![], is_invalid: false, is_global });
        Ok(())
    }

    fn capture(&mut self, id: u64) -> Result<&mut Capture, Code> {
        self.captures.get_mut(&id).ok_or(Code::STREAM_CAPTURE_INVALIDATED)
    }

    /// Ends a capture, with all streams that joined it.
    pub(super) fn end_capture(&mut self, handle: u64) -> Result<Vec<Node>, Code> {
        let id = self.stream(handle)?.capture.ok_or(Code::STREAM_CAPTURE_UNMATCHED)?;
        if self.capture(id)?.origin != handle {
            return Err(Code::STREAM_CAPTURE_UNMATCHED);
        }
        let mut is_unjoined = false;
        for (&other, stream) in self.streams.iter_mut().filter(|(_, stream)| stream.capture == Some(id)) {
            is_unjoined |= other != handle && stream.is_unjoined;
            stream.capture = None;
        }
        let capture = self.captures.remove(&id).ok_or(Code::STREAM_CAPTURE_INVALIDATED)?;
        match () {
            () if capture.is_invalid => Err(Code::STREAM_CAPTURE_INVALIDATED),
            () if is_unjoined => Err(Code::STREAM_CAPTURE_UNJOINED),
            () => Ok(capture.nodes),
        }
    }
}
