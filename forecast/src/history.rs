//! The series as the members see it: without gaps, on the plain and on the log scale.

use crate::scale::Scale;

/// A series without gaps, on both scales.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub scale: Scale,
    pub plain: Vec<f64>,
    /// Empty where there is no log scale.
    logs: Vec<f64>,
}

impl History {
    pub fn new(scale: Scale, plain: Vec<f64>) -> Self {
        let logs =
            if scale.has_log() { plain.iter().map(|&v| scale.plain_to_log(v)).collect() } else { Vec::new() };
        History { scale, plain, logs }
    }

    pub fn push(&mut self, value: f64) {
        self.plain.push(value);
        if self.scale.has_log() {
            self.logs.push(self.scale.plain_to_log(value));
        }
    }

    pub fn has_log(&self) -> bool {
        !self.logs.is_empty()
    }

    pub fn values(&self, log: bool) -> &[f64] {
        if log { &self.logs } else { &self.plain }
    }

    /// To plain units from either scale.
    pub fn to_plain(&self, log: bool, mut values: Vec<f64>) -> Vec<f64> {
        if log {
            values.iter_mut().for_each(|v| *v = self.scale.log_to_plain(*v));
        }
        values
    }
}
