//! Shaders, compiled when they are first used.

use dlrm_kernels::wgsl::{Access, PARAMS_BYTES, Shader};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use wgpu::{
    BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType, BufferBindingType, ComputePipeline,
    ComputePipelineDescriptor, Device, PipelineLayoutDescriptor, ShaderModuleDescriptor, ShaderSource, ShaderStages,
};

/// A shader that is ready to run.
pub(super) struct Prepared {
    pub pipeline: ComputePipeline,
    pub layout: BindGroupLayout,
}

/// All that were used so far, by name and function.
#[derive(Default)]
pub(super) struct Pipelines(Mutex<HashMap<(&'static str, &'static str), Arc<Prepared>>>);

impl Pipelines {
    pub fn get(&self, device: &Device, shader: &'static Shader) -> Arc<Prepared> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((shader.name, shader.entry)).or_insert_with(|| Arc::new(prepare(device, shader))).clone()
    }
}

fn prepare(device: &Device, shader: &Shader) -> Prepared {
    let buffer = |binding, ty, has_dynamic_offset, bytes: u64| BindGroupLayoutEntry {
        binding,
        visibility: ShaderStages::COMPUTE,
        ty: BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: bytes.try_into().ok() },
        count: None,
    };
    let mut entries = vec![buffer(0, BufferBindingType::Uniform, true, PARAMS_BYTES as u64)];
    for (binding, access) in (1..).zip(shader.buffers) {
        entries.push(buffer(binding, BufferBindingType::Storage { read_only: *access == Access::Read }, false, 4));
    }
    let label = Some(shader.name);
    let layout = device.create_bind_group_layout(&BindGroupLayoutDescriptor { label, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let source = ShaderSource::Wgsl(shader.source.into());
    let module = device.create_shader_module(ShaderModuleDescriptor { label, source });
    let pipeline = device.create_compute_pipeline(&ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some(shader.entry),
        compilation_options: Default::default(),
        cache: None,
    });
    Prepared { pipeline, layout }
}
