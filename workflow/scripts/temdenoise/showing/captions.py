"""What is said under each figure; standard library only."""

CAPTIONS = {
    "1": "From structures to noisy images: (a) disordered structures (dashed: inside it the "
    "displacements are full, outside they fade to a pristine rim) and their projected densities, "
    "(b) maps of different structures joined, (c) the same image shifted, (d) the noises.",
    "2": "(a) The first test image enlarged around its darkest spot: clean, corrupted, and "
    "denoised by the paper-like baseline, by the network trained for that noise and by the "
    "universal network; (b) the similarity still missing at these C; (c) MS-SSIM against C, "
    "beyond the specialists' trained range shaded.",
    "3": "An experimental image: (a) as recorded, (b) denoised, (c) the error the network predicts "
    "(68 %), (d) what that error marks: hatched with a blue rim where the mean brightness lies "
    "below that of the image by more than twice the error, dotted with an orange rim where the "
    "result varies by no more than its error, ringed the suspected inventions: features that do "
    "not hold against the error and hardly show in the image as recorded. Below, enlarged where "
    "the error is largest, also those that are certain (green dots) or uncertain but there "
    "(orange crosses). The error was calibrated on training images: on a micrograph it is a guide.",
    "4": "The first test image in full size: corrupted, denoised, and the error left.",
    "S1": "The worst joint of each split: the place where the jump from one map to the next is "
    "largest, between the two arrows. The ratio compares it with the largest jump between "
    "neighbouring pixels inside the maps; at 1 or less a joint cannot be told from the inside.",
    "S2": "Circles and borders. Where four patches of the paper-like baseline meet (dashed), with "
    "the outline of the pores halfway down to the darkest (blue) beside that of the clean image "
    "(white, dotted).",
    "S3": "Where our own networks are worst: of every noise the test image with the least MS-SSIM, "
    "for its specialist within the trained range and for the universal network beyond that, "
    "enlarged around its largest error, with the error that the network expected.",
    "5": "The workflow, drawn from its own graph of rules; what follows from other arrows is left "
    "out (the CSV has it).",
}
