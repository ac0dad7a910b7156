"""Parts of the demo clip's renderer: bodies, clothes, gait, scene, shading and ground truth."""
