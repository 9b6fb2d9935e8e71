//! Where the numbers are computed: by the processor, or on a GPU in a build with the feature `wgpu`.

use super::{cpu, fail};
use clap::{ArgMatches, Args, ValueEnum};
#[cfg(feature = "wgpu")]
use dlrm::backend::{AdapterChoice, Counts, Wgpu, WgpuOptions};
use dlrm::backend::{Backend, Cpu};
use dlrm::{Error, Result};
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Args)]
pub struct BackendFlags {
    /// What computes: the processor, or a GPU by Vulkan, Metal or DX12, in a build with --features wgpu.
    #[arg(long, value_enum, default_value_t = BackendName::Cpu)]
    pub backend: BackendName,
    /// Which GPU: its number in --list-adapters, or a part of its line there [default: one with memory of its own, if there
    /// is one].
    #[arg(long, value_name = "NAME|INDEX")]
    pub adapter: Option<String>,
    /// Store tables and activations between layers on the GPU in 16 bits a number, if it has them; sums stay 32.
    #[arg(long)]
    pub f16: bool,
    /// Print the GPUs that there are, and do nothing else.
    #[arg(long)]
    pub list_adapters: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackendName {
    Cpu,
    Wgpu,
}

/// What is counted of a GPU's work.
pub const COUNTS: [&str; 7] =
    ["submissions", "dispatches", "bytes_up", "bytes_down", "bind_groups", "buffers", "fallbacks"];

/// The backend that was asked for.
pub enum Chosen {
    Cpu(Arc<Cpu>),
    #[cfg(feature = "wgpu")]
    Wgpu(Arc<Wgpu>),
}

impl Chosen {
    pub fn backend(&self) -> Arc<dyn Backend> {
        match self {
            Chosen::Cpu(cpu) => cpu.clone(),
            #[cfg(feature = "wgpu")]
            Chosen::Wgpu(gpu) => gpu.clone(),
        }
    }

    /// The processor, if it is that.
    pub fn cpu(&self) -> Option<&Arc<Cpu>> {
        match self {
            Chosen::Cpu(cpu) => Some(cpu),
            #[cfg(feature = "wgpu")]
            Chosen::Wgpu(_) => None,
        }
    }

    /// Waits until everything called so far is computed.
    pub fn wait(&self) -> Result<()> {
        match self {
            Chosen::Cpu(_) => Ok(()),
            #[cfg(feature = "wgpu")]
            Chosen::Wgpu(gpu) => gpu.wait(),
        }
    }

    /// What a GPU was given to do so far, by the names in [`COUNTS`].
    pub fn counts(&self) -> Option<[u64; COUNTS.len()]> {
        match self {
            Chosen::Cpu(_) => None,
            #[cfg(feature = "wgpu")]
            Chosen::Wgpu(gpu) => {
                let Counts { submissions, dispatches, bytes_up, bytes_down, bind_groups, buffers, fallbacks, .. } =
                    gpu.counts();
                Some([submissions, dispatches, bytes_up, bytes_down, bind_groups, buffers, fallbacks])
            }
        }
    }

    /// Threads of the processor.
    pub fn threads(&self) -> usize {
        match self {
            Chosen::Cpu(cpu) => cpu.threads(),
            #[cfg(feature = "wgpu")]
            Chosen::Wgpu(gpu) => gpu.threads(),
        }
    }
}

impl BackendFlags {
    /// The backend, with so many threads of the processor.
    pub fn open(&self, threads: usize) -> Result<Chosen> {
        match self.backend {
            BackendName::Wgpu => self.open_gpu(threads),
            BackendName::Cpu => match self.unused() {
                Some(flag) => Err(Error::Config(format!("{flag}: expected --backend wgpu beside it"))),
                None => Ok(Chosen::Cpu(cpu(threads)?)),
            },
        }
    }

    /// A flag of GPUs alone that was given.
    fn unused(&self) -> Option<&'static str> {
        let given = [(self.adapter.is_some(), "--adapter"), (self.f16, "--f16")];
        given.into_iter().find_map(|(given, flag)| given.then_some(flag))
    }

    #[cfg(feature = "wgpu")]
    fn open_gpu(&self, threads: usize) -> Result<Chosen> {
        // A wrong instruction set of the environment is said as it is for the processor alone.
        dlrm_kernels::Isa::from_env().map_err(Error::Config)?;
        let adapter = self.adapter.as_deref().map_or(AdapterChoice::Best, AdapterChoice::from);
        let options = WgpuOptions { adapter, threads, f16_storage: self.f16, ..WgpuOptions::default() };
        Wgpu::new(&options).map(|gpu| Chosen::Wgpu(Arc::new(gpu))).map_err(|e| match (e, &self.adapter) {
            (Error::Device(message), Some(_)) => Error::Device(format!("--adapter: {message}")),
            (e, _) => e,
        })
    }

    #[cfg(not(feature = "wgpu"))]
    fn open_gpu(&self, _: usize) -> Result<Chosen> {
        Err(not_built("--backend wgpu"))
    }
}

#[cfg(not(feature = "wgpu"))]
fn not_built(flag: &str) -> Error {
    Error::Config(format!("{flag}: this build has no GPU backend, expected one built with --features wgpu"))
}

/// The exit code of `--list-adapters`, if that is among the flags: it goes before all others.
pub fn listed(matches: &ArgMatches) -> Option<ExitCode> {
    let wanted = matches.try_get_one::<bool>("list_adapters").ok()??;
    wanted.then(|| match list() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(e),
    })
}

#[cfg(feature = "wgpu")]
fn list() -> Result<()> {
    for (index, line) in dlrm::backend::adapters()?.iter().enumerate() {
        println!("{index}: {line}");
    }
    Ok(())
}

#[cfg(not(feature = "wgpu"))]
fn list() -> Result<()> {
    Err(not_built("--list-adapters"))
}
