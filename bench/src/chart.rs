//! The results as bars, for a page or a merge request.

use std::fmt::Write;

use crate::contender::Contender;
use crate::report::Report;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const BAR: f64 = 420.0;
const ROW: f64 = 26.0;

struct Bar {
    label: String,
    value: f64,
    colour: &'static str,
    note: String,
}

const fn colour(contender: Contender) -> &'static str {
    match contender {
        Contender::Files => "#7a8ba3",
        Contender::Sql => "#b8a47a",
        Contender::Rust => "#c2521d",
    }
}

/// One SVG with a panel for throughput and one for latency.
pub(crate) fn svg(report: &Report) -> String {
    let throughput: Vec<Bar> = report
        .series
        .iter()
        .map(|series| Bar {
            label: format!("{} {}", series.contender.name(), series.workload.name()),
            value: series.per_second(),
            colour: colour(series.contender),
            note: format!("{:.0}/s", series.per_second()),
        })
        .chain(report.scale.iter().map(|scale| Bar {
            label: format!("rust {} M", f64::from(scale.users) / 1e6),
            value: scale.load.per_second,
            colour: colour(Contender::Rust),
            note: format!(
                "{:.0}/s, {:.0} bytes each",
                scale.load.per_second,
                scale.bytes_per_subscriber()
            ),
        }))
        .collect();
    let latency: Vec<Bar> = report
        .series
        .iter()
        .map(|series| Bar {
            label: format!("{} {}", series.contender.name(), series.workload.name()),
            value: series.paced.p99_us as f64 / 1e3,
            colour: colour(series.contender),
            note: format!(
                "{:.2} ms at {:.0}/s",
                series.paced.p99_us as f64 / 1e3,
                series.paced_rate
            ),
        })
        .collect();
    let mut body = String::new();
    let mut y = 30.0;
    let title = format!("Access-Requests a second, {} subscribers", report.users);
    panel(&mut body, &mut y, &title, &throughput);
    panel(&mut body, &mut y, "99th percentile latency at half of that", &latency);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

fn panel(out: &mut String, y: &mut f64, title: &str, bars: &[Bar]) {
    let longest = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<text x=\"12\" y=\"{y}\" font-size=\"15\" font-weight=\"bold\">{title}</text>"
    );
    for Bar {
        label,
        value,
        colour,
        note,
    } in bars
    {
        *y += ROW;
        let length = value / longest * BAR;
        let (top, after) = (*y - 14.0, LEFT + length + 6.0);
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{label}</text>\
             <rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"18\" fill=\"{colour}\"/>\
             <text x=\"{after:.1}\" y=\"{y}\">{note}</text>",
            LEFT - 8.0
        );
    }
    *y += 2.0 * ROW;
}
