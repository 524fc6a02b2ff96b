# Needs: results/structures/{structure}.extxyz
# Makes: results/dft/{structure}/density.tif  (e/Å³, one page per z)
#        results/dft/{structure}/summary.json (energies, electrons, SCF history)
# Expensive: re-run only when its input, its options or its recipe change.


rule run_dft:
    input:
        atoms="results/structures/{structure}.extxyz",
    output:
        density="results/dft/{structure}/density.tif",
        summary="results/dft/{structure}/summary.json",
    log:
        "results/logs/run_dft/{structure}.log",
        gpaw="results/logs/run_dft/{structure}.gpaw.txt",
    benchmark:
        "results/benchmarks/run_dft/{structure}.tsv"
    priority: 10
    conda:
        "../../envs/dft.yaml"
    params:
        options=dft_options(),
        recipe=recipe_of("run_dft.py"),
    message:
        "DFT of structure {wildcards.structure}"
    script:
        "../scripts/run_dft.py"


# what bonding changes is the difference from this
use rule run_dft as superpose_atoms with:
    output:
        density="results/dft/{structure}/free.tif",
        summary="results/dft/{structure}/free.json",
    log:
        "results/logs/superpose_atoms/{structure}.log",
        gpaw="results/logs/superpose_atoms/{structure}.gpaw.txt",
    benchmark:
        "results/benchmarks/superpose_atoms/{structure}.tsv"
    params:
        options=dft_options() | {"ground_truth": "superposition"},
        recipe=recipe_of("run_dft.py"),
    message:
        "Free atoms of structure {wildcards.structure}"
