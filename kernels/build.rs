//! Sets `cfg(x86_simd)` where the x86-64 instruction sets can be compiled. With `DLRM_PORTABLE` in
//! the environment it does not, so that the build of every other target can be tried on x86-64.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(x86_simd)");
    println!("cargo::rerun-if-env-changed=DLRM_PORTABLE");
    let x86 = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64");
    if x86 && std::env::var_os("DLRM_PORTABLE").is_none() {
        println!("cargo::rustc-cfg=x86_simd");
    }
}
