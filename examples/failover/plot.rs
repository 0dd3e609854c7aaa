//! The curve as a picture.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::simulation::Failover;

/// Grey is readable on a light page and on a dark one.
const INK: RGBColor = RGBColor(136, 136, 136);
const BARS: RGBColor = RGBColor(27, 108, 168);
const BOUND: RGBColor = RGBColor(168, 50, 50);

/// Draws how many were connected in each second, their mean, and one and a half times that.
pub fn draw(story: &Failover, file: &Path) -> Result<(), Box<dyn Error>> {
    let seconds = story.curve.len() as f64;
    let highest = story.peak() as f64 * 1.6;
    let text = ("sans-serif", 12).into_font().color(&INK);
    let area = SVGBackend::new(file, (760, 320)).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..seconds, 0.0..highest)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .axis_style(INK)
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.3))
        .label_style(text.clone())
        .axis_desc_style(text.clone())
        .x_desc("seconds since the pool failed")
        .y_desc("clients connected in this second")
        .y_label_formatter(&|count| format!("{count:.0}"))
        .x_label_formatter(&|second| format!("{second:.0}"))
        .draw()?;
    chart.draw_series(story.curve.iter().enumerate().map(|(second, count)| {
        let (begin, end) = (second as f64 + 0.1, second as f64 + 0.9);
        Rectangle::new([(begin, 0.0), (end, *count as f64)], BARS.filled())
    }))?;
    for (times, what, colour) in [(1.0, "mean", INK), (1.5, "bound: 1.5 times the mean", BOUND)] {
        let height = story.mean() * times;
        chart.draw_series(LineSeries::new([(0.0, height), (seconds, height)], colour))?;
        let label = Text::new(
            what,
            (0.3, height + highest * 0.05),
            ("sans-serif", 12).into_font().color(&colour),
        );
        chart.draw_series([label])?;
    }
    area.present()?;
    Ok(())
}
