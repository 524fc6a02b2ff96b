# Needs: results/dft/{structure}/density.tif, or results/structures/{structure}.extxyz for images
# Makes: results/maps/{structure}.tif         (projected density, e/Å², with its atoms; or image.mode: adf, hrtem)
#        results/mosaics/{split}/images.tif   (joined and shifted images)
#        results/mosaics/{split}/joined.tif   (the same before the shift)
#        results/mosaics/{split}/worst.tif    (cut out around the joint with the largest jump)
#        results/mosaics/{split}/joints.json  (structures, shifts, quality of the joints)


# one map of every structure: the density's, or the microscope's. With both rules there, Snakemake
# would weigh them anew for every file that is read of thousands
if MODE.preset is None:

    rule project_density:
        input:
            density="results/dft/{structure}/density.tif",
            atoms="results/structures/{structure}.extxyz",
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
            code=recipe_of("project_density.py"),
        message:
            "Projecting the density of {wildcards.structure}"
        script:
            "../scripts/project_density.py"

else:

    rule form_image:
        input:
            unpack(image_inputs),
        output:
            map="results/maps/{structure}.tif",
        log:
            "results/logs/form_image/{structure}.log",
        benchmark:
            "results/benchmarks/form_image/{structure}.tsv"
        conda:
            "../../envs/imaging.yaml"
        params:
            microscope=microscope_of(config),
            code=recipe_of("form_image.py"),
        message:
            "Imaging {wildcards.structure}"
        script:
            "../scripts/form_image.py"


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
        n_crystals=len(CRYSTALS),
        code=recipe_of("join_maps.py"),
    message:
        "Joining and shifting the maps of the {wildcards.split} split"
    script:
        "../scripts/join_maps.py"
