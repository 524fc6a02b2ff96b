# Needs: results/dft/{structure}/density.tif
# Makes: results/maps/{structure}.tif         (projected density, e/Å²)
#        results/mosaics/{split}/images.tif   (joined and shifted images, e/Å²)
#        results/mosaics/{split}/joined.tif   (the same before the shift)
#        results/mosaics/{split}/worst.tif    (cut out around the joint with the largest jump)
#        results/mosaics/{split}/joints.json  (structures, shifts, quality of the joints)


rule project_density:
    input:
        density="results/dft/{structure}/density.tif",
    output:
        map="results/maps/{structure}.tif",
    log:
        "results/logs/project_density/{structure}.log",
    benchmark:
        "results/benchmarks/project_density/{structure}.tsv"
    conda:
        "../../envs/dft.yaml"
    params:
        options=config["maps"],
        code=code_digest("groundtruth.density", "storage"),
    message:
        "Projecting the density of {wildcards.structure}"
    script:
        "../scripts/project_density.py"


rule join_maps:
    input:
        maps=split_maps,
    output:
        images="results/mosaics/{split}/images.tif",
        joined="results/mosaics/{split}/joined.tif",
        worst="results/mosaics/{split}/worst.tif",
        joints="results/mosaics/{split}/joints.json",
    log:
        "results/logs/join_maps/{split}.log",
    benchmark:
        "results/benchmarks/join_maps/{split}.tsv"
    conda:
        "../../envs/dft.yaml"
    params:
        seed=config["seed"],
        n_images=lookup(within=config, dpath="mosaics/count/{split}"),
        size=config["mosaics"]["size"],
        sampling=config["mosaics"]["sampling"],
        code=code_digest("groundtruth.mosaics", "seeding", "storage"),
    message:
        "Joining and shifting the maps of the {wildcards.split} split"
    script:
        "../scripts/join_maps.py"
