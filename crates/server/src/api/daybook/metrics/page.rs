//! A page in Prometheus' text format.

use std::fmt::{Display, Write as _};

use store::Distribution;

pub const GAUGE: &str = "gauge";
pub const COUNTER: &str = "counter";

const HISTOGRAM: &str = "histogram";

/// A page of metrics as it grows.
#[derive(Default)]
pub struct Page {
    pub text: String,
    family: String,
}

impl Page {
    /// Begins a metric; its samples follow.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) -> &mut Page {
        name.clone_into(&mut self.family);
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        self
    }

    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let escaped =
            |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> =
            labels.iter().map(|(name, text)| format!("{name}=\"{}\"", escaped(text))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.text.push_str(&self.family);
        self.write(format_args!("{labels} {value}\n"));
    }

    /// A metric of one sample.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// Begins a metric of distributions; those follow.
    pub fn distributions(&mut self, name: &str, help: &str) -> &mut Page {
        self.family(name, HISTOGRAM, help)
    }

    /// One distribution of such a metric. Values are divided by `unit`: 1e9 makes seconds of
    /// nanoseconds.
    #[allow(
        clippy::cast_precision_loss,
        reason = "totals are exact up to 2^53, three months in nanoseconds"
    )]
    pub fn distribution(&mut self, labels: &[(&str, &str)], read: &Distribution, unit: f64) {
        let family = self.family.clone();
        let bounds = read.bounds.iter().map(|bound| (*bound as f64 / unit).to_string());
        let mut count = 0;
        self.family = format!("{family}_bucket");
        for (bound, of_bound) in bounds.chain(["+Inf".to_owned()]).zip(&read.counts) {
            count += of_bound;
            self.sample(&[labels, &[("le", bound.as_str())]].concat(), count);
        }
        self.family = format!("{family}_sum");
        self.sample(labels, read.sum as f64 / unit);
        self.family = format!("{family}_count");
        self.sample(labels, count);
        self.family = family;
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_help_are_escaped() {
        let mut page = Page::default();
        page.family("a_total", COUNTER, "two\nlines, a \\ and a \"").sample(&[("x", "\"\\\n")], 3);
        page.one("b", GAUGE, "one", 0.5);
        assert_eq!(
            page.text,
            "# HELP a_total two\\nlines, a \\\\ and a \"\n# TYPE a_total counter\na_total{x=\"\\\"\\\\\\n\"} 3\n\
             # HELP b one\n# TYPE b gauge\nb 0.5\n"
        );
    }

    #[test]
    fn buckets_add_up_to_the_count() {
        let histogram = store::Histogram::new(&[1_000_000, 2_500_000_000]);
        for value in [1_000_000, 1_000_001, u64::from(u32::MAX)] {
            histogram.record(value);
        }
        let mut page = Page::default();
        page.distributions("x_seconds", "time").distribution(&[("a", "b")], &histogram.read(), 1e9);
        assert_eq!(
            page.text,
            "# HELP x_seconds time\n# TYPE x_seconds histogram\n\
             x_seconds_bucket{a=\"b\",le=\"0.001\"} 1\nx_seconds_bucket{a=\"b\",le=\"2.5\"} 2\n\
             x_seconds_bucket{a=\"b\",le=\"+Inf\"} 3\n\
             x_seconds_sum{a=\"b\"} 4.296967296\nx_seconds_count{a=\"b\"} 3\n"
        );
    }
}
