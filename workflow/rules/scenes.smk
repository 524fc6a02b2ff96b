# Needs: results/maps/{structure}.tif of the training structures; for the judgement those of the others
# Makes: results/density/model.pt       (the density, learned from the DFT maps of the training split)
#        results/density/accuracy.csv   (how far it is from DFT maps it has not seen, by kind of site)
#        results/density/worst.tif      (where it is farthest: DFT, learned, difference)
#        results/scenes/scenes.json     (atoms of the scenes)
#        results/scenes/clean.tif       (normalised images that the learned density draws of them)
#        results/scenes/manifest.json
# Only for image.mode density with density.source learned; for the others these rules have no use.


rule train_density:
    input:
        maps=maps_of("train"),
    output:
        model="results/density/model.pt",
    log:
        "results/logs/train_density.log",
    benchmark:
        "results/benchmarks/train_density.tsv"
    priority: 13
    conda:
        "../../envs/torch.yaml"
    params:
        sampling=config["mosaics"]["sampling"],
        steps=config["density"]["steps"],
        seed=config["seed"],
        recipe=recipe_of("train_density.py"),
    message:
        "Learning the density from the training maps"
    script:
        "../scripts/train_density.py"


rule judge_density:
    input:
        model="results/density/model.pt",
        maps=[*maps_of("val"), *maps_of("test")],
    output:
        table=report(
            "results/density/accuracy.csv",
            category="Ground truth",
            labels={"table": "learned density"},
            caption="../report/density.rst",
        ),
        worst="results/density/worst.tif",
    log:
        "results/logs/judge_density.log",
    benchmark:
        "results/benchmarks/judge_density.tsv"
    conda:
        "../../envs/torch.yaml"
    params:
        code=recipe_of("judge_density.py"),
    message:
        "Comparing the learned density with DFT"
    script:
        "../scripts/judge_density.py"


rule compose_scenes:
    input:
        pristine=[pristine_file(number) for number in range(len(CRYSTALS))],
        relaxed=scene_defects(),
    output:
        scenes="results/scenes/scenes.json",
    log:
        "results/logs/compose_scenes.log",
    benchmark:
        "results/benchmarks/compose_scenes.tsv"
    priority: 12
    conda:
        "../../envs/dft.yaml"
    params:
        seed=config["seed"],
        options=config["scenes"],
        sampling=config["mosaics"]["sampling"],
        crystals=scene_ingredients(),
        families=scene_families(),
        code=recipe_of("compose_scenes.py"),
    message:
        "Composing the scenes"
    script:
        "../scripts/compose_scenes.py"


rule draw_scenes:
    input:
        model="results/density/model.pt",
        scenes="results/scenes/scenes.json",
        training_maps=maps_of("train"),
    output:
        clean="results/scenes/clean.tif",
        manifest="results/scenes/manifest.json",
    log:
        "results/logs/draw_scenes.log",
    benchmark:
        "results/benchmarks/draw_scenes.tsv"
    priority: 12
    conda:
        "../../envs/torch.yaml"
    params:
        seed=config["seed"],
        size=config["scenes"]["size"],
        # a fraction of the side of the images that are judged, as long on a scene
        background_correlation=config["datasets"]["background_correlation"]
        * config["mosaics"]["size"]
        / config["scenes"]["size"],
        clip=config["datasets"]["clip"],
        white=config["datasets"]["white"],
        n_crystals=len(CRYSTALS),
        code=recipe_of("draw_scenes.py"),
    message:
        "Drawing the scenes"
    script:
        "../scripts/draw_scenes.py"
