# Needs: results/mosaics/{split}/images.tif, the training maps (for the scale)
# Makes: results/datasets/{noise}/{split}/clean.tif     (normalised images)
#        results/datasets/{noise}/{split}/noisy.tif     (every image at every C)
#        results/datasets/{noise}/{split}/manifest.json (structures, C and seed of the frames, scale, digests)


rule make_dataset:
    input:
        images="results/mosaics/{split}/images.tif",
        joints="results/mosaics/{split}/joints.json",
        training_maps=maps_of("train"),
    output:
        clean="results/datasets/{noise}/{split}/clean.tif",
        noisy="results/datasets/{noise}/{split}/noisy.tif",
        manifest="results/datasets/{noise}/{split}/manifest.json",
    log:
        "results/logs/make_dataset/{noise}/{split}.log",
    benchmark:
        "results/benchmarks/make_dataset/{noise}/{split}.tsv"
    # seconds each, and the longest training waits for all of them
    priority: 12
    conda:
        "../../envs/torch.yaml"
    params:
        seed=config["seed"],
        c_noise=stored_c_noise,
        background_correlation=config["datasets"]["background_correlation"],
        clip=config["datasets"]["clip"],
        white=config["datasets"]["white"],
        n_crystals=len(CRYSTALS),
        code=recipe_of("make_dataset.py"),
    message:
        "Making the {wildcards.split} data set with {wildcards.noise} noise"
    script:
        "../scripts/make_dataset.py"
