use crate::support::{gpu, sound};
use dlrm::backend::{Wgpu, WgpuOptions};

#[test]
fn f16_is_refused_by_name_where_the_adapter_lacks_it() {
    if gpu().is_none() {
        return;
    }
    match Wgpu::new(&WgpuOptions { f16_storage: true, ..WgpuOptions::default() }) {
        Ok(gpu) => {
            eprintln!("this adapter has SHADER_F16");
            sound(&gpu);
        }
        Err(e) => assert!(e.to_string().contains("SHADER_F16"), "{e}"),
    }
}
