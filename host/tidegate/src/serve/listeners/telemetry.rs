//! The listener for metrics, and the collector of OpenTelemetry where the settings name one.

use std::sync::Arc;

use tidegate_admin_api::DataPlane as _;
use tidegate_config::Config;
use tidegate_telemetry::{Page, PageSource, Spans};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::serve::data_plane::Node;

/// The way to the collector.
pub(in crate::serve) struct Telemetry {
    #[cfg(feature = "otlp")]
    exporter: Option<tidegate_telemetry::otlp::Exporter>,
}

/// What goes to the collector until the node stops.
pub(in crate::serve) struct Exporting {
    #[cfg(feature = "otlp")]
    running: Option<tidegate_telemetry::otlp::Running>,
}

#[cfg(not(feature = "otlp"))]
impl Telemetry {
    pub(in crate::serve) fn open(config: &Config) -> anyhow::Result<Self> {
        anyhow::ensure!(
            config.telemetry.otlp_endpoint.is_empty(),
            "telemetry.otlp_endpoint is given, and this program was built without OpenTelemetry: build \
             it with `--features otlp`, or leave it empty"
        );
        Ok(Self {})
    }

    #[allow(clippy::unused_self, reason = "there is one with the feature")]
    pub(in crate::serve) fn spans(&self) -> Option<Arc<dyn Spans>> {
        None
    }

    #[allow(clippy::unused_self, reason = "there is something to tell with the feature")]
    pub(in crate::serve) fn report(&self, _: &mut Page) {}
}

#[cfg(feature = "otlp")]
impl Telemetry {
    pub(in crate::serve) fn open(config: &Config) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        use tidegate_telemetry::otlp::{Exporter, OtlpOptions};

        let from = &config.telemetry;
        if from.otlp_endpoint.is_empty() {
            return Ok(Self { exporter: None });
        }
        let headers = from.otlp_headers.reveal().map_err(anyhow::Error::msg);
        let options = OtlpOptions {
            endpoint: from.otlp_endpoint.clone(),
            headers: headers.context("telemetry.otlp_headers")?,
            timeout: from.otlp_timeout,
            metrics_interval: from.otlp_metrics_interval,
            traces_per_thousand: from.traces_per_thousand,
            max_waiting_spans: from.max_waiting_spans,
            service_name: from.service_name.clone(),
            instance: config.node.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let exporter = Exporter::new(options).context("[telemetry]")?;
        Ok(Self { exporter: Some(exporter) })
    }

    pub(in crate::serve) fn spans(&self) -> Option<Arc<dyn Spans>> {
        self.exporter.as_ref().map(tidegate_telemetry::otlp::Exporter::spans)
    }

    pub(in crate::serve) fn report(&self, page: &mut Page) {
        if let Some(exporter) = &self.exporter {
            exporter.report(page);
        }
    }

    fn start(&self, source: PageSource) -> Exporting {
        Exporting { running: self.exporter.as_ref().map(|exporter| exporter.start(source)) }
    }
}

#[cfg(not(feature = "otlp"))]
impl Telemetry {
    #[allow(clippy::unused_self, reason = "there is something to start with the feature")]
    fn start(&self, _: PageSource) -> Exporting {
        Exporting {}
    }
}

impl Exporting {
    /// Sends what waits, once.
    #[cfg(feature = "otlp")]
    pub(in crate::serve) async fn close(self) {
        if let Some(running) = self.running {
            running.close().await;
        }
    }

    #[cfg(not(feature = "otlp"))]
    #[allow(clippy::unused_async, reason = "it waits with the feature")]
    pub(in crate::serve) async fn close(self) {}
}

/// Starts to tell what is measured.
pub(in crate::serve) fn start(
    node: &Arc<Node>,
    listener: TcpListener,
) -> (JoinHandle<()>, Exporting) {
    // The node has the gateway, which has this.
    let measured = Arc::downgrade(node);
    let source: PageSource =
        Arc::new(move || measured.upgrade().map(|node| node.page()).unwrap_or_default());
    let serving = tokio::spawn(tidegate_telemetry::serve::serve(listener, Arc::clone(&source)));
    node.gateway.serve_metrics(&source);
    (serving, node.telemetry().start(source))
}
