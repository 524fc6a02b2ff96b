"""Make the clean and noisy images of one noise and split (rule make_dataset)."""

from dataclasses import asdict

from temdenoise.files import read_json, write_json
from temdenoise.images.datasets import frames, intensity_scale, noisy_frames
from temdenoise.jobs import job
from temdenoise.seals import digest
from temdenoise.storage import one_by_one, read_images, write_images

with job(snakemake) as say:
    params, output = snakemake.params, snakemake.output
    noise, split = snakemake.wildcards.noise, snakemake.wildcards.split
    images = read_images(snakemake.input.images)
    paths, n_crystals = snakemake.input.training_maps, params.n_crystals
    # every crystal has its own scale; images take turns among the crystals
    scales = [
        intensity_scale(
            (read_images(path).data for path in paths[n::n_crystals]), white=params.white
        )
        for n in range(n_crystals)
    ]
    scale = scales[0]
    shape = images.data.shape
    about = {"sampling": images.sampling, "unit": "1", "scale": asdict(scale)}
    write_images(
        output.clean,
        (
            scales[i % n_crystals].normalise(image)
            for i, image in enumerate(one_by_one(images.data))
        ),
        shape=shape,
        quantity=f"normalised {images.quantity}",
        **about,
    )
    listed = frames(shape[0], params.c_noise)
    write_images(
        output.noisy,
        noisy_frames(
            read_images(output.clean).data,
            listed,
            noise=noise,
            split=split,
            seed=params.seed,
            background_correlation=params.background_correlation,
            clip=params.clip,
            pedestal=[each.pedestal for each in scales],
        ),
        shape=(len(listed), *shape[1:]),
        quantity=f"normalised {images.quantity} with {noise} noise",
        **about,
    )
    write_json(
        output.manifest,
        {
            "noise": noise,
            "split": split,
            "seed": params.seed,
            "background_correlation": params.background_correlation,
            "clip": params.clip,
            "structures": read_json(snakemake.input.joints)["structures"],
            "sampling_angstrom": images.sampling,
            "scale": asdict(scale) | {"unit": images.unit},
            **({"scales": list(map(asdict, scales))} if n_crystals > 1 else {}),
            "sha256": {name: digest(output[name]) for name in ("clean", "noisy")},
            "frames": [asdict(frame) for frame in listed],
        },
    )
    say(f"{shape[0]} clean images, {len(listed)} noisy frames of {shape[1]} px")
