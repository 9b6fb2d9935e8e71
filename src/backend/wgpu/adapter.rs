//! Adapters: which there are, which to use, and the device that is asked of it.

use super::WgpuOptions;
use crate::error::{Error, Result};
use wgpu::{Adapter, AdapterInfo, Backends, DeviceType, Features, Instance, InstanceDescriptor, Limits};

/// What to install where no adapter is found.
const NONE: &str = "no GPU adapter found: expected a GPU with a Vulkan, Metal or DX12 driver; a software one is in Debian's \
                    packages mesa-vulkan-drivers and libvulkan1";

/// Which adapter to compute on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// A GPU with memory of its own, else one that shares the processor's, else a software one.
    #[default]
    Best,
    /// The one of this number in [`adapters`].
    Index(usize),
    /// The first whose name contains this, whatever the case.
    Name(String),
}

impl From<&str> for AdapterChoice {
    /// A number is an index, and anything else a name.
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| AdapterChoice::Name(text.to_owned()), AdapterChoice::Index)
    }
}

fn instance() -> Instance {
    let mut descriptor = InstanceDescriptor::new_without_display_handle();
    descriptor.backends = Backends::PRIMARY;
    // Of what the driver says there is room for: tables that do not fit are said not to, where it says anything.
    descriptor.memory_budget_thresholds.for_resource_creation = Some(95);
    Instance::new(descriptor)
}

/// All of them, of which there is one at least.
fn some(instance: &Instance) -> Result<Vec<Adapter>> {
    let all = pollster::block_on(instance.enumerate_adapters(Backends::PRIMARY));
    if all.is_empty() { Err(Error::Device(NONE.into())) } else { Ok(all) }
}

/// One line for people.
pub(super) fn line(info: &AdapterInfo) -> String {
    let kind = match info.device_type {
        DeviceType::DiscreteGpu => "GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => "software",
        DeviceType::Other => "other",
    };
    format!("{} ({kind}, {})", info.name, info.backend)
}

/// Every adapter of this machine, a line each: its name, kind and interface.
///
/// # Errors
/// [`Error::Device`] if there is none, with what to install.
pub fn adapters() -> Result<Vec<String>> {
    Ok(some(&instance())?.iter().map(|adapter| line(&adapter.get_info())).collect())
}

fn rank(adapter: &Adapter) -> u8 {
    match adapter.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

/// The adapter of that choice.
///
/// # Errors
/// [`Error::Device`] if there is none, with those that there are.
pub(super) fn find(choice: &AdapterChoice) -> Result<Adapter> {
    let mut all = some(&instance())?;
    let lines: Vec<String> = all.iter().map(|adapter| line(&adapter.get_info())).collect();
    let at = match choice {
        AdapterChoice::Best => (0..all.len()).min_by_key(|&i| rank(&all[i])),
        AdapterChoice::Index(index) => Some(*index).filter(|&i| i < all.len()),
        AdapterChoice::Name(name) => lines.iter().position(|l| l.to_lowercase().contains(&name.to_lowercase())),
    };
    let Some(at) = at else {
        let listed: Vec<String> = lines.iter().enumerate().map(|(i, line)| format!("{i}: {line}")).collect();
        let asked = match choice {
            AdapterChoice::Index(index) => format!("adapter {index}"),
            AdapterChoice::Name(name) => format!("adapter `{name}`"),
            AdapterChoice::Best => unreachable!("there is one"),
        };
        return Err(Error::Device(format!("there is no {asked}, expected one of {}", listed.join(", "))));
    };
    Ok(all.swap_remove(at))
}

/// A device of `adapter` with all that it has of what the shaders can use, and the largest buffers it offers.
///
/// # Errors
/// [`Error::Device`] if the driver refuses, or lacks what `options` need.
pub(super) fn open(adapter: &Adapter, options: &WgpuOptions) -> Result<(wgpu::Device, wgpu::Queue)> {
    let mut wanted = Features::TIMESTAMP_QUERY | Features::SUBGROUP | Features::SHADER_F16;
    if options.core_only {
        wanted.remove(Features::SUBGROUP);
    }
    if options.f16_storage && !adapter.features().contains(Features::SHADER_F16) {
        let line = line(&adapter.get_info());
        return Err(Error::Device(format!(
            "{line}: no SHADER_F16, which storage in f16 needs; expected an adapter with it"
        )));
    }
    let offered = adapter.limits();
    let limits = Limits {
        max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
        max_buffer_size: offered.max_buffer_size,
        ..Limits::default()
    };
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("dlrm"),
        required_features: adapter.features() & wanted,
        required_limits: limits,
        memory_hints: wgpu::MemoryHints::Performance,
        ..Default::default()
    };
    pollster::block_on(adapter.request_device(&descriptor))
        .map_err(|e| Error::Device(format!("{}: {e}", line(&adapter.get_info()))))
}
