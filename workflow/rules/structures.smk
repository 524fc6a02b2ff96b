# Needs: configuration `structures`, the file `structures.crystal` names if it names one.
# Makes: results/structures/pristine.extxyz     (the crystal as a supercell; pristine-1 ... others)
#        results/defects/{crystal}/{family}.extxyz  (how the atoms around its defects move)
#        results/structures/{structure}.extxyz  (with its family, parameters and defects)
#        results/structures/structures.csv      (one row per structure)


rule build_crystal:
    input:
        file=crystal_file(0),
    output:
        atoms="results/structures/pristine.extxyz",
    log:
        "results/logs/build_crystal.log",
    benchmark:
        "results/benchmarks/build_crystal.tsv"
    conda:
        "../../envs/dft.yaml"
    params:
        options=cell_options(0),
        name=CRYSTALS[0]["crystal"],
        elements=foreign_elements(0),
        # elements need datasets only where there are DFT jobs
        basis=config["dft"]["basis"] if dft_summaries() else None,
        xc=config["dft"]["xc"],
        code=recipe_of("build_crystal.py"),
    message:
        "Building the pristine supercell"
    script:
        "../scripts/build_crystal.py"


use rule build_crystal as build_other_crystal with:
    input:
        file=lambda wildcards: crystal_file(int(wildcards.crystal)),
    output:
        atoms="results/structures/pristine-{crystal}.extxyz",
    log:
        "results/logs/build_other_crystal/{crystal}.log",
    benchmark:
        "results/benchmarks/build_other_crystal/{crystal}.tsv"
    wildcard_constraints:
        crystal="[0-9]+",
    params:
        options=lambda wildcards: cell_options(int(wildcards.crystal)),
        name=lambda wildcards: CRYSTALS[int(wildcards.crystal)]["crystal"],
        elements=lambda wildcards: foreign_elements(int(wildcards.crystal)),
        basis=config["dft"]["basis"] if dft_summaries() else None,
        xc=config["dft"]["xc"],
        code=recipe_of("build_crystal.py"),
    message:
        "Building the pristine supercell of crystal {wildcards.crystal}"


rule relax_defect:
    input:
        pristine=lambda wildcards: pristine_file(int(wildcards.crystal)),
    output:
        defects="results/defects/{crystal}/{family}.extxyz",
    log:
        "results/logs/relax_defect/{crystal}/{family}.log",
    benchmark:
        "results/benchmarks/relax_defect/{crystal}/{family}.tsv"
    wildcard_constraints:
        crystal="[0-9]+",
        family="|".join(RELAXED),
    priority: 10
    conda:
        "../../envs/dft.yaml"
    params:
        theory=config["structures"]["relaxation"],
        options=relaxation_options(),
        parameters=family_parameters,
        cell={k: config["structures"][k] for k in ("fade_width", "defect_margin")},
        seed=config["seed"],
        recipe=recipe_of("relax_defect.py"),
    message:
        "Relaxing the {wildcards.family} of crystal {wildcards.crystal}"
    script:
        "../scripts/relax_defect.py"


rule build_structure:
    input:
        pristine=pristine_of,
        relaxed=relaxed_of,
    output:
        atoms="results/structures/{structure}.extxyz",
    log:
        "results/logs/build_structure/{structure}.log",
    benchmark:
        "results/benchmarks/build_structure/{structure}.tsv"
    conda:
        "../../envs/dft.yaml"
    params:
        seed=config["seed"],
        options=disorder_of,
        code=recipe_of("build_structure.py"),
    message:
        "Building structure {wildcards.structure}"
    script:
        "../scripts/build_structure.py"


rule list_structures:
    input:
        atoms=[f"results/structures/{s}.extxyz" for s in all_structures()],
    output:
        table=report(
            "results/structures/structures.csv",
            category="Ground truth",
            labels={"table": "structures"},
            caption="../report/structures.rst",
        ),
    log:
        "results/logs/list_structures.log",
    benchmark:
        "results/benchmarks/list_structures.tsv"
    conda:
        "../../envs/dft.yaml"
    params:
        code=recipe_of("list_structures.py"),
    message:
        "Listing the structures"
    script:
        "../scripts/list_structures.py"
