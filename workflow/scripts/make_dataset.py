"""Make the clean and noisy images of one noise and split (rule make_dataset)."""

from temdenoise.foundation.files import read_json
from temdenoise.foundation.jobs import job
from temdenoise.images.datasets import FILES, DataSetPlan, intensity_scales, write_dataset
from temdenoise.images.storage import StoredImages, read_images

with job(snakemake) as say:
    given, params, output = snakemake.input, snakemake.params, snakemake.output
    plan = DataSetPlan(
        noise=snakemake.wildcards.noise,
        split=snakemake.wildcards.split,
        seed=params.seed,
        c_noise=params.c_noise,
        background_correlation=params.background_correlation,
        clip=params.clip,
    )
    maps = StoredImages(given.training_maps)
    made = write_dataset(
        read_images(given.images),
        intensity_scales(maps, params.n_crystals, white=params.white),
        plan,
        structures=read_json(given.joints)["structures"],
        files={name: output[name] for name in FILES},
    )
    n_images, size, _ = made.clean.shape
    say(f"{n_images} clean images, {len(made.frames)} noisy frames of {size} px")
