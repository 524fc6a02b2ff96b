# Needs: results/structures/{structure}.extxyz of `validation.structure`
# Makes: results/validation/maps/{variant}.tif, .json   (the same structure computed in other ways)
#        results/validation/lattice.json                (lattice constant, bond charge)
#        results/validation/accuracy.csv, figure.pdf, .png
#        results/validation.html
# Not part of the default target: `make validate`, or the target `validation`.


rule validate_dft:
    input:
        atoms=f"results/structures/{config['validation']['structure']}.extxyz",
    output:
        map="results/validation/maps/{variant}.tif",
        summary="results/validation/maps/{variant}.json",
    log:
        "results/logs/validate_dft/{variant}.log",
        gpaw="results/logs/validate_dft/{variant}.gpaw.txt",
    benchmark:
        "results/benchmarks/validate_dft/{variant}.tsv"
    priority: 10
    conda:
        "../../envs/dft.yaml"
    params:
        dft=config["dft"],
        cutoff=config["validation"]["cutoff"],
        recipe=recipe_of("validate_dft.py"),
    message:
        "Validation: {wildcards.variant}"
    script:
        "../scripts/validate_dft.py"


rule validate_lattice:
    output:
        lattice="results/validation/lattice.json",
    log:
        "results/logs/validate_lattice.log",
        gpaw="results/logs/validate_lattice.gpaw.txt",
    benchmark:
        "results/benchmarks/validate_lattice.tsv"
    conda:
        "../../envs/dft.yaml"
    params:
        crystal=config["structures"]["crystal"],
        dft=config["dft"],
        recipe=recipe_of("validate_lattice.py"),
    message:
        "Validation: the lattice constant"
    script:
        "../scripts/validate_lattice.py"


rule compare_maps:
    input:
        maps=expand("results/validation/maps/{variant}.tif", variant=VARIANTS),
        summaries=expand("results/validation/maps/{variant}.json", variant=VARIANTS),
    output:
        table="results/validation/accuracy.csv",
    log:
        "results/logs/compare_maps.log",
    benchmark:
        "results/benchmarks/compare_maps.tsv"
    conda:
        "../../envs/dft.yaml"
    params:
        variants=list(VARIANTS),
        code=recipe_of("compare_maps.py"),
    message:
        "Validation: comparing the maps"
    script:
        "../scripts/compare_maps.py"


rule report_validation:
    input:
        table="results/validation/accuracy.csv",
        as_configured="results/validation/maps/as_configured.tif",
        plane_waves="results/validation/maps/plane_waves.tif",
        superposition="results/validation/maps/superposition.tif",
        lattice=[] if crystal_file() else "results/validation/lattice.json",
    output:
        pdf="results/validation/figure.pdf",
        png="results/validation/figure.png",
        page="results/validation.html",
    log:
        "results/logs/report_validation.log",
    benchmark:
        "results/benchmarks/report_validation.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        config=config,
        variants=VARIANTS,
        code=recipe_of("report_validation.py"),
        templates=[
            file_digest(path)
            for path in templates("page.html.j2", "validation.html.j2")
        ],
    message:
        "Reporting the validation"
    script:
        "../scripts/report_validation.py"
