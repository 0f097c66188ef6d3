//! When to stop.

/// What training does after an epoch's validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Keep the parameters: the loss is the lowest so far.
    Best,
    /// Go on.
    Continue,
    /// Neither loss nor accuracy has been the best for too long.
    Stop,
}

/// Early stopping as in the authors' program: an epoch counts as progress when accuracy or loss is no worse than the
/// best so far. Training keeps the parameters of the lowest loss. The authors keep the last ones of which both are the
/// best; but the accuracy of a few hundred nodes moves in steps, and a lucky early epoch would then be kept for good.
pub(super) struct Patience {
    limit: Option<usize>,
    accuracy: f64,
    loss: f64,
    waited: usize,
}

impl Patience {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Patience { limit, accuracy: 0.0, loss: f64::INFINITY, waited: 0 }
    }

    pub(super) fn judge(&mut self, accuracy: f64, loss: f64) -> Verdict {
        let (accurate, low) = (accuracy >= self.accuracy, loss <= self.loss);
        self.accuracy = self.accuracy.max(accuracy);
        self.loss = self.loss.min(loss);
        if accurate || low {
            self.waited = 0;
            return if low { Verdict::Best } else { Verdict::Continue };
        }
        self.waited += 1;
        if self.limit.is_some_and(|limit| self.waited >= limit) { Verdict::Stop } else { Verdict::Continue }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_is_progress_and_the_lowest_loss_is_kept() {
        let mut patience = Patience::new(Some(2));
        let judged = [(0.5, 1.0), (0.5, 1.0), (0.6, 1.1), (0.5, 0.9), (0.5, 1.0), (0.6, 0.9), (0.5, 1.0), (0.5, 1.0)]
            .map(|(accuracy, loss)| patience.judge(accuracy, loss));
        use Verdict::*;
        assert_eq!(judged, [Best, Best, Continue, Best, Continue, Best, Continue, Stop]);
    }
}
