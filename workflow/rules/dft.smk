# Needs: results/structures/{structure}.extxyz
# Makes: results/dft/{structure}/density.tif  (e/Å³, one page per z)
#        results/dft/{structure}/summary.json (energies, electrons, SCF history)
# Dear: re-run only when its input, its options or dft.RECIPE change.


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
        options=config["dft"],
        recipe=recipe("groundtruth.dft"),
    message:
        "DFT of structure {wildcards.structure}"
    script:
        "../scripts/run_dft.py"
